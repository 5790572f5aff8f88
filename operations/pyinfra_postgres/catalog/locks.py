"""The advisory lock that a deploy holds.

Pure. https://www.postgresql.org/docs/current/explicit-locking.html#ADVISORY-LOCKS
"""

LOCK_KEY = "1886220904, 1"
"""The two integers of the advisory lock that a deploy holds; the first spells `pgin`."""
IS_DEPLOY_LOCK = f"""
    l.locktype = 'advisory' AND l.granted AND (l.classid, l.objid) = ({LOCK_KEY})
    AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database())"""
"""Of a row `l` of pg_locks, whether it is the lock of a deploy of this database."""

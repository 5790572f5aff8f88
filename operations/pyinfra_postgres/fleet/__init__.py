"""Many hosts: processes that run pyinfra on some of them, waves, probes and progress."""

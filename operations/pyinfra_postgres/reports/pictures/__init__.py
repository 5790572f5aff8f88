"""Pictures of a database, as SVG that stands in a page.

Pure: the same facts give the same bytes. Colours are the page's; there is no script, no style and
no id in a picture.
"""

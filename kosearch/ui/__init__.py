"""The page where people look: a server on this machine's loopback and one static page. Needs the extra `ui`.

asking.py       questions, answered by the warm process or here
documents.py    what the page names by ids: documents, their dates, and opening them
texts.py        an extracted text as headings, paragraphs and tables, with the passage marked
pictures.py     a page of a PDF, or a picture, drawn in a process of its own, and the boxes of a passage on it
refreshing.py   runs of indexing, and how far they are
server.py       what the page asks, who may, and the end. Alone knows starlette and uvicorn
static/         the page: one HTML, one CSS, one JavaScript, as they are
"""

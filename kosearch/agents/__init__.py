"""What agents are given: little text, nothing twice, and ids instead of paths.

brief.py       an answer as its shortest useful JSON, cut at whole hits
asking.py      questions, answered by the warm process, or by words alone where that takes too long
here.py        the same in this process, where there is no warm one or none in time
tools.py       five tools and the resources: what they take, and the text that they give
server.py      the Model Context Protocol on stdin and stdout. Alone knows the package `mcp`
"""

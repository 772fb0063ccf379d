"""Parses T-SQL scripts and prints, as JSON by path, what in them is no T-SQL.

usage: tsql.py NAME=VALUE... -- SCRIPT...     (NAME=VALUE are sqlcmd's variables)
"""
import json
import re
import sys

from sqlfluff.core import Linter

split = sys.argv.index("--")
variables = dict(v.split("=", 1) for v in sys.argv[1:split])
linter = Linter(dialect="tsql")
out = {}
for path in sys.argv[split + 1:]:
    with open(path, encoding="utf-8") as f:
        text = re.sub(r"\$\((\w+)\)", lambda m: variables[m.group(1)], f.read())
    parsed = linter.parse_string(text)
    wrong = [f"line {v.line_no}: {v.desc()}" for v in parsed.violations]
    if parsed.tree is None:
        wrong.append("nothing was parsed")
    else:
        wrong += [u.raw[:200] for u in parsed.tree.recursive_crawl("unparsable")]
        if not list(parsed.tree.recursive_crawl("statement")):
            wrong.append("no statement")
    out[path] = wrong
json.dump(out, sys.stdout)

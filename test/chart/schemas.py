"""Unpacks the Kubernetes API's schemas of the wheel kubernetes-validate for kubeconform.

usage: schemas.py WHEEL OUTPUT VERSION...

The wheel's schemas name themselves by absolute $id and refer to definitions by file; kubeconform resolves
references relative to the file only when there is no $id.
"""
import json
import pathlib
import sys
import zipfile


def relative(node):
    if isinstance(node, dict):
        node.pop("$id", None)
        ref = node.get("$ref")
        if isinstance(ref, str) and not ref.startswith("#"):
            node["$ref"] = ref.rsplit("/", 1)[-1] if "#" not in ref else ref[: ref.index("#")].rsplit("/", 1)[-1] + ref[ref.index("#"):]
        for value in node.values():
            relative(value)
    elif isinstance(node, list):
        for value in node:
            relative(value)


def main(wheel, output, *versions):
    with zipfile.ZipFile(wheel) as z:
        for version in versions:
            prefix = f"kubernetes_validate/kubernetes-json-schema/v{version}-local-strict/"
            names = [n for n in z.namelist() if n.startswith(prefix)]
            if not names:
                sys.exit(f"chart: {wheel} has no schemas of Kubernetes {version}")
            target = pathlib.Path(output) / f"v{version}"
            target.mkdir(parents=True, exist_ok=True)
            for n in names:
                schema = json.loads(z.read(n))
                relative(schema)
                (target / n.rsplit("/", 1)[-1]).write_text(json.dumps(schema))


main(*sys.argv[1:])

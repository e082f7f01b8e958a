"""Checks documents against the official OCSF schema, which the package ocsf-json-schema carries.

    python3 validate.py FILE...     each file holds one JSON document

Attributes that the schema does not know, or has deprecated, are errors too. Exit code 1 names every problem.
"""

import json
import sys

from jsonschema import Draft202012Validator
from ocsf_json_schema import OcsfJsonSchemaEmbedded, get_ocsf_schema

# Enumerated numbers whose name stands beside them.
SIBLINGS = {
    "activity_id": "activity_name",
    "category_uid": "category_name",
    "class_uid": "class_name",
    "severity_id": "severity",
    "type_uid": "type_name",
}


def schema_of(document, schemas):
    """The validator for the document's class, its version and the profiles that it names."""
    metadata = document["metadata"]
    profiles = tuple(metadata.get("profiles", []))
    key = (metadata["version"], document["class_uid"], profiles)
    if key not in schemas:
        official = get_ocsf_schema(version=metadata["version"])
        schema = OcsfJsonSchemaEmbedded(official)
        uid = document["class_uid"]
        name = next(name for name, one in official["classes"].items() if one["uid"] == uid)
        schemas[key] = Draft202012Validator(schema.get_class_schema(name, list(profiles))), official["classes"][name]
    return schemas[key]


def deprecated(value, schema, root, path):
    """The paths of attributes that the schema says not to use any more."""
    if "$ref" in schema:
        schema = root["$defs"][schema["$ref"].rsplit("/", 1)[1]]
    if isinstance(value, list):
        for index, one in enumerate(value):
            yield from deprecated(one, schema.get("items", {}), root, f"{path}[{index}]")
    if isinstance(value, dict):
        for name, one in value.items():
            attribute = schema.get("properties", {}).get(name, {})
            if attribute.get("deprecated"):
                yield f"{path}.{name}"
            yield from deprecated(one, attribute, root, f"{path}.{name}")


def problems(document, schemas):
    try:
        validator, definition = schema_of(document, schemas)
    except (KeyError, StopIteration, ValueError) as error:
        yield f"no class, version or profiles to go by: {error!r}"
        return
    for error in validator.iter_errors(document):
        yield f"{error.json_path}: {error.message[:300]}"
    for path in deprecated(document, validator.schema, validator.schema, "$"):
        yield f"{path}: deprecated"
    for number, name in SIBLINGS.items():
        caption = definition["attributes"][number]["enum"].get(str(document[number]), {}).get("caption")
        if caption != document.get(name) and document[number] != 99:
            yield f"$.{name}: {document.get(name)!r}, the schema calls {document[number]} {caption!r}"


def main(paths):
    schemas, count = {}, 0
    for path in paths:
        with open(path, encoding="utf-8") as file:
            document = json.load(file)
        for problem in problems(document, schemas):
            print(f"{path}: {problem}")
            count += 1
    if not paths:
        sys.exit(__doc__)
    print(f"OCSF: {len(paths)} documents, {count} problems")
    sys.exit(1 if count else 0)


main(sys.argv[1:])

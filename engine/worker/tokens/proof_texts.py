"""Texts that two encodings of one vocabulary are compared on: where such have come apart before.

White space before and behind everything, contractions, digits, scripts with and without spaces,
marks that compose, emoji of several characters, control characters, code, long runs.
"""

from __future__ import annotations

from itertools import product

_SENTENCES = (
    "The patient's blood pressure wasn't 120/80; they'll re-check it, I'd say, at 9:30 a.m.",
    "HE'S SHE'LL WE'RE I'M THEY'VE IT'D DON'T 'S 's'S ' s ''s \u2019s I\u2019m o'clock",
    "'\u017f '\u017ft '\u212a 'S\u017f",
    "Sjúklingurinn ætlaði að þegja, en sagði þó: „Já!“ Ðað kostar 1.234,56 kr.",
    "Größe, naïve, cœur, señor, Łódź, İstanbul, ılık, ǅungla, ﬁnal, ŉ, ß ẞ",
    "Это предложение написано по-русски, а это — українською: їжак, ґанок.",
    "Η γρήγορη αλεπού; πηδά. Ἐν ἀρχῇ ἦν ὁ λόγος",
    "הארנב הלבן רץ מהר. שָׁלוֹם",
    "ذهب الطبيب إلى المستشفى في ٢٠٢٤، ثُمَّ عادَ.",
    "यह एक वाक्य है। क्षत्रिय १२३ দুধ ১২ தமிழ் ౧౨ ಕನ್ನಡ",
    "這是一個句子,沒有空格。这是一个没有空格的句子!2024年3月",
    "これは日本語の文です。カタカナ、ｶﾀｶﾅ、漢字１２３。",
    "한국어 문장입니다. 각 각",
    "ประโยคภาษาไทยไม่มีช่องว่าง ๑๒๓ ສະບາຍດີ ខ្មែរ မြန်မာ",
    "👍🏽 \U0001f469\u200d\U0001f469\u200d\U0001f467 🇮🇸🇩🇪 ❤\ufe0f 🫠 1\ufe0f\u20e3 ☃ ™",
    "① ² ½ Ⅻ ㊿ 〇 𝟘 𝒜 𐍈 🄰",
    "e\u0301 a\u030a o\u0308\u0323 \u1100\u1161\u11a8 \u212b \u0344 \u0958 \ufb1d \u2126",
    "\u0301start x\u0338 >\u0338",
    "def f(x: int) -> dict[str, int]:\n    return {'a': x**2}  # 0x1F\n\n",
    "\tif x!=3:\r\n\t\tpass\r\n",
    'for(;;){a[i++]+=b->c;}//==>\n#include <stdio.h>\n<div class="x">&nbsp;</div>\n',
    "https://example.com/a_b?c=%20&d=1#e name@example.com C:\\dir\\f.txt $\\frac{1}{2}$",
    "a1b22c333d4444e55555 1,234,567.89 3.14e-10 1 2  3   4\t5\n6\r\n7 v1.2.3 ١٢٣٤ 0",
    "\x00\x01\x07\x08\x0b\x0c\x1b[31m\x1c\x1d\x1e\x1f\x7f\x85 \x9f",
    "\u00a0a\u00a0 \u1680 \u180e \u2002\u2003x \u200b\u200c\u200d",
    "x\u2028\u2029 \u202f \u205f \u3000y \ufeff \u00ad",
    "\ue000 \uf8ff \ufdd0 \ufffe \uffff \ufffd \U000f0000 \U0010ffff \u0378",
    "<|endoftext|> <|im_start|>user <s> </s> <unk> [INST] <pad> <|eot_id|> <think> <tool_call>",
)
_PARTS = ("a", "'s", "7", "é", "漢", "!", "_", "́", " ", "  ", "\n", "\r\n", "\t", "\u00a0", "²")
_RUNS = ("a", "A", "7", " ", "\n", "\t", "\r\n", " \n", "!", "-", "=", "é", "漢", "😀", "ab", "' ")

PROOF_TEXTS = (
    "",
    *_SENTENCES,
    "\n\n".join(_SENTENCES),
    *("".join(parts) for parts in product(_PARTS, repeat=3)),
    *(f"{before}{run * count}{after}" for run in _RUNS for count in (2, 3, 17, 600)
      for before, after in (("", ""), ("x", "x"), ("1", "1"), (" ", ".")))
)  # fmt: skip

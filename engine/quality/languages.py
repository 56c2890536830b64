"""Which languages a text is in, by py3langid (142 languages, its model ships with it)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from functools import cache
from typing import TYPE_CHECKING

from engine.artifacts.scan import Language

if TYPE_CHECKING:
    from py3langid.langid import LanguageIdentifier

CHARACTERS = 1000
"""Looked at in one text."""
CERTAIN = 0.5
"""Probability below which the detector has no opinion."""
UNKNOWN = "unknown"
LEAST_SHARE = 0.005
"""Smaller shares are counted as unknown: on short texts the detector errs about as often."""

_NAMES = """
ace Acehnese, af Afrikaans, am Amharic, an Aragonese, ar Arabic, ary Arabic, arz Arabic,
as Assamese, az Azerbaijani, ba Bashkir, bcl Bikol, be Belarusian, bg Bulgarian, bn Bengali,
br Breton, bs Bosnian, ca Catalan, crh Crimean Tatar, cs Czech, cy Welsh, da Danish, de German,
dz Dzongkha, el Greek, en English, eo Esperanto, es Spanish, et Estonian, eu Basque,
ext Extremaduran, fa Persian, fi Finnish, fo Faroese, fr French, fuv Fulfulde, fy Frisian,
ga Irish, gcf Guadeloupean Creole, gcr Guianese Creole, gd Scottish Gaelic, gl Galician,
gom Konkani, grc Ancient Greek, gu Gujarati, gug Guarani, guw Gun, ha Hausa, hbo Hebrew,
he Hebrew, hi Hindi, hr Croatian, ht Haitian Creole, hu Hungarian, hy Armenian, id Indonesian,
ig Igbo, is Icelandic, it Italian, ja Japanese, jv Javanese, ka Georgian, kab Kabyle,
kik Kikuyu, kk Kazakh, km Khmer, kn Kannada, ko Korean, ku Kurdish, ky Kyrgyz, la Latin,
lb Luxembourgish, lg Luganda, lij Ligurian, ln Lingala, lo Lao, lt Lithuanian, ltg Latgalian,
lv Latvian, mg Malagasy, mk Macedonian, ml Malayalam, mn Mongolian, mr Marathi, ms Malay,
mt Maltese, my Burmese, ne Nepali, nl Dutch, nn Norwegian, no Norwegian, nso Northern Sotho,
oc Occitan, om Oromo, or Odia, pa Punjabi, pcm Nigerian Pidgin, pl Polish, ps Pashto,
pt Portuguese, qu Quechua, ro Romanian, ru Russian, rw Kinyarwanda, sa Sanskrit, sdh Kurdish,
se Northern Sami, si Sinhala, sk Slovak, sl Slovenian, sn Shona, so Somali, sq Albanian,
sr Serbian, st Sotho, sv Swedish, sw Swahili, ta Tamil, te Telugu, tg Tajik, th Thai,
tk Turkmen, tl Tagalog, tr Turkish, tt Tatar, ug Uyghur, uk Ukrainian, ur Urdu, uz Uzbek,
uzs Uzbek, vec Venetian, vi Vietnamese, vo Volapuk, wa Walloon, wuu Chinese, xh Xhosa,
yo Yoruba, yue Chinese, zh Chinese, zu Zulu
"""


@cache
def _names() -> dict[str, str]:
    pairs = (entry.split(maxsplit=1) for entry in _NAMES.replace("\n", " ").split(","))
    return dict(pairs)


@cache
def _identifier() -> LanguageIdentifier:
    from py3langid.langid import MODEL_FILE, LanguageIdentifier

    return LanguageIdentifier.from_model_file(MODEL_FILE, norm_probs=True)


def language_of(text: str) -> str:
    """English name of the language that the start of the text is in, or ``unknown``."""
    code, probability = _identifier().classify(text[:CHARACTERS])
    return _names().get(code, UNKNOWN) if probability >= CERTAIN else UNKNOWN


def languages(texts: Iterable[tuple[str, float]]) -> list[Language]:
    """Shares of the languages over texts with their weights, largest first."""
    weights: Counter[str] = Counter()
    for text, weight in texts:
        weights[language_of(text)] += weight  # type: ignore[assignment]
    total = weights.total() or 1
    for name in [name for name, weight in weights.items() if weight < LEAST_SHARE * total]:
        small = weights.pop(name)
        weights[UNKNOWN] += small
    return [Language(name=name, share=weight / total) for name, weight in weights.most_common()]


def code_of(name: str) -> str | None:
    """The language's ISO code (the first in the table that has this English name), or None."""
    return next((code for code, known in _names().items() if known == name), None)

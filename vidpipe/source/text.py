"""Make text that comes out of a file fit for a terminal, a log and a playlist.

In:   metadata as the file has it.  Out: one short line without control characters, and language tags of BCP 47.
"""

from __future__ import annotations

import re
import unicodedata

LONGEST = 200  # characters: enough for a title, too little to flood a terminal

# ECMA-48 sequences whole (CSI, then OSC and other strings), so that no "[31m" stays behind when ESC is removed.
_ESCAPES = re.compile(
    r"(?:\x1b\[|\x9b)[0-?]*[ -/]*[@-~]|(?:\x1b[\]PX^_]|[\x9d\x90\x98\x9e\x9f]).*?(?:\x07|\x1b\\|\x9c|$)|\x1b[ -/]*[0-~]", re.DOTALL
)
# Cc: C0 and C1.  Cf: bidi overrides, zero-width characters, tags.  Cs: half surrogates.  Co, Cn: no agreed meaning.  Zl, Zp: line breaks.
_UNWANTED = frozenset({"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"})


def one_line(text: str, longest: int = LONGEST) -> str:
    """Return ``text`` as one line without control, escape, bidi and invisible characters, at most ``longest`` characters."""
    text = _ESCAPES.sub("", text[: 16 * longest])
    words = re.sub(r"[\t\r\n\v\f]", " ", text)
    line = " ".join("".join(char for char in words if unicodedata.category(char) not in _UNWANTED).split())
    return line if len(line) <= longest else line[: longest - 1].rstrip() + "…"


# ISO 639-2 (both its codes where they differ) to ISO 639-1: BCP 47 wants the shorter code where one exists (RFC 5646, 2.2.1).
_TWO_LETTERS = (
    "aar:aa abk:ab afr:af aka:ak alb:sq sqi:sq amh:am ara:ar arg:an arm:hy hye:hy asm:as ava:av ave:ae aym:ay aze:az bak:ba bam:bm "
    "baq:eu eus:eu bel:be ben:bn bis:bi bod:bo tib:bo bos:bs bre:br bul:bg bur:my mya:my cat:ca ces:cs cze:cs cha:ch che:ce chi:zh "
    "zho:zh chu:cu chv:cv cor:kw cos:co cre:cr cym:cy wel:cy dan:da deu:de ger:de div:dv dut:nl nld:nl dzo:dz ell:el gre:el eng:en "
    "epo:eo est:et ewe:ee fao:fo fas:fa per:fa fij:fj fin:fi fra:fr fre:fr fry:fy ful:ff geo:ka kat:ka gla:gd gle:ga glg:gl glv:gv "
    "grn:gn guj:gu hat:ht hau:ha heb:he her:hz hin:hi hmo:ho hrv:hr hun:hu ibo:ig ice:is isl:is ido:io iii:ii iku:iu ile:ie ina:ia "
    "ind:id ipk:ik ita:it jav:jv jpn:ja kal:kl kan:kn kas:ks kau:kr kaz:kk khm:km kik:ki kin:rw kir:ky kom:kv kon:kg kor:ko kua:kj "
    "kur:ku lao:lo lat:la lav:lv lim:li lin:ln lit:lt ltz:lb lub:lu lug:lg mac:mk mkd:mk mah:mh mal:ml mao:mi mri:mi mar:mr may:ms "
    "msa:ms mlg:mg mlt:mt mon:mn nau:na nav:nv nbl:nr nde:nd ndo:ng nep:ne nno:nn nob:nb nor:no nya:ny oci:oc oji:oj ori:or orm:om "
    "oss:os pan:pa pli:pi pol:pl por:pt pus:ps que:qu roh:rm ron:ro rum:ro run:rn rus:ru sag:sg san:sa sin:si slk:sk slo:sk slv:sl "
    "sme:se smo:sm sna:sn snd:sd som:so sot:st spa:es srd:sc srp:sr scc:sr scr:hr ssw:ss sun:su swa:sw swe:sv tah:ty tam:ta tat:tt "
    "tel:te tgk:tg tgl:tl tha:th tir:ti ton:to tsn:tn tso:ts tuk:tk tur:tr twi:tw uig:ug ukr:uk urd:ur uzb:uz ven:ve vie:vi vol:vo "
    "wln:wa wol:wo xho:xh yid:yi yor:yo zha:za zul:zu "
)
TWO_LETTERS = dict(pair.split(":") for pair in _TWO_LETTERS.split())
_BIBLIOGRAPHIC = frozenset(
    ("alb", "arm", "baq", "bur", "chi", "cze", "dut", "fre", "geo", "ger", "gre", "ice", "mac", "mao", "may", "per", "rum", "slo", "tib")
) | {"wel", "scc", "scr"}
_TERMINOLOGY = {two: three for three, two in TWO_LETTERS.items() if three not in _BIBLIOGRAPHIC}
_DEPRECATED = {"iw": "he", "in": "id", "ji": "yi"}
"""Codes that ISO 639 withdrew in 1989, and what the registry of BCP 47 has for them; Java still writes them."""
_NO_LANGUAGE = frozenset({"und", "mis", "zxx", "unk", "xxx"})
_TAG = re.compile(r"[a-z]{2,3}(?:-[a-z]{4})?(?:-(?:[a-z]{2}|[0-9]{3}))?(?:-[a-z0-9]{5,8})*")


def language_tag(text: str | None) -> str | None:
    """Return the BCP 47 tag of a container's language field ("eng" gives "en", "pt_br" gives "pt-BR"), or None if it names none."""
    tag = (text or "").strip("\0 ").replace("_", "-").lower()
    if not _TAG.fullmatch(tag):
        return None
    first, *rest = tag.split("-")
    if first in _NO_LANGUAGE:
        return None
    parts = [_DEPRECATED.get(first) or TWO_LETTERS.get(first, first)]
    for part in rest:  # RFC 5646, 2.1.1: Script in title case, REGION in upper case
        parts.append(part.title() if len(part) == 4 else part.upper() if len(part) == 2 else part)
    return "-".join(parts)


def iso_639_2(tag: str | None) -> str:
    """Return the terminology code of ISO 639-2 for a BCP 47 tag ("en" gives "eng", "pt-BR" gives "por"), "und" if there is none."""
    first = (tag or "und").split("-")[0]
    if len(first) == 2:
        return _TERMINOLOGY.get(first, "und")
    return first if re.fullmatch("[a-z]{3}", first) else "und"

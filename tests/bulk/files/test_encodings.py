"""The encoding of a file: found from its bytes, never guessed from a short sample."""

# ruff: noqa: RUF001  # the signs of Windows-1252 that look like others

from __future__ import annotations

import io
import sys

import pytest

from syncro_async.bulk.files.encodings import MARK_BYTES, checked_encoding, find_encoding
from syncro_async.errors import BadRowsError

PEOPLE = "João Araújo;São Paulo\nConceição Núñez;Ribeirão Preto\nJosé;Goiânia\n"
# It looks like Windows-1252, except for how often each letter comes.
SHORT_WORDS = ("Кот;Дом Ира\n" * 30).encode("cp1251")


def found(content: bytes, given: str | None = None) -> tuple[str, str, str | None]:
    return find_encoding(io.BytesIO(content), given, "rows.csv")


@pytest.mark.parametrize(
    ("content", "codec", "name", "sample"),
    [
        (b"", "utf-8", "UTF-8", None),
        (("é" * 40_000 + "\nAna;b\nJosé\n").encode(), "utf-8", "UTF-8", "é" * 40),
        (b"name;email\nAna;a@b.c\n", "utf-8", "UTF-8", None),
        (PEOPLE.encode(), "utf-8", "UTF-8", "João Araújo"),
        (b"\xef\xbb\xbf" + PEOPLE.encode(), "utf-8-sig", "UTF-8", "João Araújo"),
        (PEOPLE.encode("utf-16"), "utf-16", "UTF-16", "João Araújo"),
        (b"\xfe\xff" + PEOPLE.encode("utf-16-be"), "utf-16", "UTF-16", "João Araújo"),
        (PEOPLE.encode("utf-16-le"), "utf-16-le", "UTF-16", "João Araújo"),
        (PEOPLE.encode("utf-16-be"), "utf-16-be", "UTF-16", "João Araújo"),
        (PEOPLE.encode("utf-32"), "utf-32", "UTF-32", "João Araújo"),
        (PEOPLE.encode("cp1252"), "cp1252", "Windows-1252", "João Araújo"),
        ((PEOPLE * 50).encode("cp1252"), "cp1252", "Windows-1252", "João Araújo"),
        ("Zoë;“x”: 5 €\n".encode("cp1252"), "cp1252", "Windows-1252", "Zoë"),
        ("ÁÉÍÓÚ áéíóú\n".encode("cp1252"), "cp1252", "Windows-1252", "ÁÉÍÓÚ áéíóú"),
        ("Jo\u00e3o".encode("cp1252"), "cp1252", "Windows-1252", "João"),
        ("\u200b;x\nAção".encode(), "utf-8", "UTF-8", "Ação"),
        # Most lines are UTF-8: a byte that is not makes its own row a bad one.
        ((PEOPLE + "Jos").encode() + b"\xe9", "utf-8", "UTF-8", "João Araújo"),
    ],
)
def test_the_bytes_decide(content: bytes, codec: str, name: str, sample: str | None) -> None:
    assert found(content) == (codec, name, sample)


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (PEOPLE.encode("mac_roman"), "the byte 0x8D has no meaning in Windows-1252"),
        ("Conceição\n".encode("cp850"), "as Windows-1252 it would hold 'Concei‡Æo'"),
        ("Иван Петров;Москва\n".encode("cp1251"), "as Windows-1252 it would hold"),
        ("山田ひろし;東京\n".encode("shift_jis"), "no meaning in Windows-1252|it would hold"),
        ("王伟;北京市朝阳区\n".encode("gb18030"), "as Windows-1252 it would hold"),
        (SHORT_WORDS, "the frequencies of its letters exclude Windows-1252"),
    ],
)
def test_bytes_of_another_encoding_are_refused_with_the_way_on(content: bytes, says: str) -> None:
    with pytest.raises(BadRowsError, match=says) as caught:
        found(content)
    (problem,) = caught.value.problems
    assert "{encoding}" in str(problem.advice)
    assert "name the encoding with encoding=" in str(caught.value)


def test_a_guess_is_shown_and_never_used(monkeypatch: pytest.MonkeyPatch) -> None:
    content = "Иван Петров;Москва\n".encode("cp1251")
    with pytest.raises(BadRowsError, match=r"it may be cp1251 \('Иван Петров'\)"):
        found(content)
    monkeypatch.setitem(sys.modules, "charset_normalizer", None)
    with pytest.raises(BadRowsError, match="has an unknown encoding") as caught:
        found(content)
    assert "it may be" not in str(caught.value)
    assert found(SHORT_WORDS)[0] == "cp1252"


@pytest.mark.parametrize(
    ("codec", "text", "says", "guess"),
    [
        ("cp850", "José;a@b.c", "Jos‚", "cp850 ('José')"),
        ("cp850", "André Avó", "Andr‚ Av¢", "cp850 ('André Avó')"),
        ("cp850", "Jaú", "Ja£", "cp850 ('Jaú')"),
        ("cp850", "Goiânia", "Goiƒnia", "cp850 ('Goiânia')"),
        ("cp850", "Antônio", "Ant“nio", "cp850 ('Antônio')"),
        ("cp850", "GRAÇA", "GRA€A", "cp850 ('GRAÇA') or mac_roman ('GRAÄA')"),
        ("cp850", "João", "JoÆo", "cp850 ('João')"),
        ("cp850", "São Luís", "SÆo Lu¡s", "cp850 ('São Luís')"),
        ("cp850", "Álvaro", "µlvaro", "cp850 ('Álvaro')"),
        (
            "cp850",
            "ela é assim",
            "ela ‚ assim",
            "cp850 ('ela é assim') or mac_roman ('ela Ç assim')",
        ),
        ("mac_roman", "Paraná", "Paran‡", "mac_roman ('Paraná')"),
        ("mac_roman", "José", "JosŽ", "mac_roman ('José')"),
        ("cp850", "Zoë", "Zo‰", "cp850 ('Zoë') or mac_roman ('Zoâ')"),
    ],
)
def test_the_signs_of_old_programs_are_told_from_those_of_texts(
    codec: str, text: str, says: str, guess: str
) -> None:
    with pytest.raises(BadRowsError) as caught:
        found(f"{text}\n".encode(codec))
    assert f"would hold {says!r}; it may be {guess} (line 1)" in str(caught.value)


@pytest.mark.parametrize(
    "text",
    [
        "Ana disse “oi”: “não”… d’água ‘x’ ‚y‘",
        "„Wort“ »x« ›y‹ «z»",
        "1ª vez nº 5 Profª ¿Qué? ¡Hola!",
        "GBP£ 3 CNY¥ 5 US¢ 10 € 5¢ 5‰ EUR€",
        "10 µm 5 µmol 3µg",
        "Marca® X™ João† § 5 3 ± 2 x² 20°C ¼",
        "bla…bla – x—y",
        "Ægir Žena Œuvre",
        "a\xa0b",
    ],
)
def test_the_signs_of_texts_are_no_reason_to_refuse_them(text: str) -> None:
    assert found(f"{text}\n".encode("cp1252")) == ("cp1252", "Windows-1252", text[:40].strip())


def test_a_guess_is_never_the_encoding_that_is_excluded() -> None:
    with pytest.raises(BadRowsError, match="would hold 'Goiƒnia 10 ×'") as caught:
        found("Goiƒnia 10 × 5\n".encode("cp1252"))
    assert "it may be" not in str(caught.value)


@pytest.mark.parametrize(
    ("text", "sample"),
    [
        ("10 €;José", "10 €"),
        ("\u200b;5 €", "5 €"),
        ("\u200bx;y", "\u200bx"),
        ("x" * 50 + "é" + "y" * 50, "x" * 20 + "é" + "y" * 19),
    ],
)
def test_every_file_beyond_ascii_has_a_sample(text: str, sample: str) -> None:
    assert found(f"{text}\n".encode()) == ("utf-8", "UTF-8", sample)


def test_a_short_sample_is_not_judged_by_statistics() -> None:
    assert found("Żółw\n".encode("cp1250"))[0] == "cp1252"


@pytest.mark.parametrize(
    ("given", "codec", "sample"),
    [
        ("cp850", "cp850", "João Araújo"),
        ("mac_roman", "mac-roman", "João Araújo"),
        ("UTF8", "utf-8", "João Araújo"),
    ],
)
def test_the_encoding_given_is_the_one(given: str, codec: str, sample: str) -> None:
    assert found(PEOPLE.encode(given), given) == (codec, given, sample)


def test_a_mark_is_no_part_of_a_file_that_is_said_to_be_utf8() -> None:
    assert found(b"\xef\xbb\xbfname\n", "utf-8")[0] == "utf-8-sig"


@pytest.mark.parametrize("name", ["ansi2", "rot13", "base64", "a\0b"])
def test_an_encoding_that_is_none_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match="is not known: give for example utf-8, cp1252"):
        checked_encoding(name)


def test_the_error_handler_decodes_only() -> None:
    with pytest.raises(UnicodeEncodeError):
        "é".encode("ascii", MARK_BYTES)

"""Secrets are masked wherever they stand in a text, and nothing else is."""

from __future__ import annotations

import base64
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.redaction import MASK, has_secret, masked

WORD = st.text("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ", min_size=1, max_size=12)
CODE = st.text("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789", min_size=24)


def encoded(value: dict[str, str]) -> str:
    return base64.urlsafe_b64encode(json.dumps(value).encode()).decode().rstrip("=")


JWT = st.builds(
    lambda user, sign: f"{encoded({'alg': 'HS256'})}.{encoded({'sub': user})}.{sign}", WORD, CODE
)
PASSWORD = st.text("abcXYZ0189!$&*+,;=%-._~@", min_size=1, max_size=20).filter(
    lambda text: text.strip("@") == text
)
SECRETS = {
    "hub": CODE.map(lambda code: f"hf_{code}"),
    "hub's OAuth": st.one_of(CODE, JWT).map(lambda code: f"hf_oauth_{code}"),
    "hub's JWT": JWT.map(lambda code: f"hf_jwt_{code}"),
    "JWT": JWT,
    "Google's OAuth": CODE.map(lambda code: f"ya29.{code}"),
    "GitHub's OAuth": CODE.map(lambda code: f"gho_{code}"),
    "a name": CODE.map(lambda code: f"1{code}"),
}
AROUND = st.sampled_from(["", " ", "\n", '"', "'", "(", ", ", "=", ": "])


@pytest.mark.parametrize("kind", SECRETS)
@given(data=st.data())
def test_a_secret_is_masked_wherever_it_stands(kind: str, data: st.DataObject) -> None:
    secret = data.draw(SECRETS[kind])
    name = "access_token=" if kind == "a name" else ""
    before, after = data.draw(AROUND), data.draw(AROUND)
    text = f"see{before or ' '}{name}{secret}{after or ' '}there"
    found = masked(text)
    assert secret not in found
    assert secret[-20:] not in found
    assert MASK in found
    assert found.startswith("see")
    assert found.endswith("there")
    assert masked(found) == found


@given(user=WORD, password=PASSWORD, scheme=st.sampled_from(["https", "s3", "postgresql+psycopg"]))
def test_a_urls_password_is_masked_and_its_host_is_not(
    user: str, password: str, scheme: str
) -> None:
    found = masked({"url": [f"at {scheme}://{user}:{password}@files.example.org:8080/a/b?c=d#e."]})
    assert found == {"url": [f"at {scheme}://{MASK}@files.example.org:8080/a/b?c=d#e."]}


@pytest.mark.parametrize(
    "text",
    [
        "https://example.org:8080/a@b, and mail to me@example.org: it is due",
        "http://localhost:6006/ then user@host:path and git@github.com:owner/name.git",
        "https://medium.com/@somebody/a-post and https://host/a:b@c",
        "https://writer@example.org/ without a password",
        "hf_transformers_model_configuration_is_a_name, hf_hub_download_and_more_words",
        "sha256 9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
        "the bearer of bad news, a basic understanding; Basic Electronics: an introduction",
        "the api key: see below; access_token is a word; key: value; tokens: 123,456,789",
        "a task-oriented, risk-averse desk-bound-accountant-of-the-old-school",
        "eyJ is how base64 of a brace begins; eyJhbGciOiJIUzI1NiJ9 alone is no token",
        "model.layers.0.self_attn.q_proj.weight and 1e-05, 10.5281/zenodo.1234567",
    ],
)
def test_ordinary_text_is_left_alone(text: str) -> None:
    assert masked(text) == text
    assert not has_secret(text)


@given(st.lists(st.one_of(WORD, st.integers().map(str), st.floats().map(str)), max_size=30))
def test_words_and_numbers_are_left_alone(words: list[str]) -> None:
    for between in (" ", ", ", ": ", "_", "-", "/", "\n"):
        text = between.join(words)
        assert masked(text) == text


def test_all_of_a_value_is_looked_through() -> None:
    secret = "hf_" + "aB3" * 10
    value = {"a": [secret, ("x", {secret: 1.5})], "n": None}
    assert masked(value) == {"a": ["hf_[masked]", ("x", {"hf_[masked]": 1.5})], "n": None}

"""Every key of the app, once: bindings, footer and help are made from this list."""

from __future__ import annotations

from textual.binding import Binding, BindingType

from cpt_tui.keys.everywhere import COMMON_KEYS
from cpt_tui.keys.key import Key
from cpt_tui.keys.of_home import HOME_KEYS
from cpt_tui.keys.of_interview import INTERVIEW_KEYS
from cpt_tui.keys.of_run import RUN_KEYS

KEYS: tuple[Key, ...] = (*HOME_KEYS, *INTERVIEW_KEYS, *RUN_KEYS, *COMMON_KEYS)


def bindings(place: str) -> list[BindingType]:
    """The bindings of a screen, from the registry."""
    return [
        Binding(
            key.keys,
            key.action,
            key.label or key.help,
            id=key.id,
            show=key.footer,
            key_display=key.display,
            tooltip=key.help,
            priority=key.priority,
        )
        for key in KEYS
        if place in key.places
    ]


NAMES = {
    **{"question_mark": "?", "pagedown": "PageDown", "pageup": "PageUp", "escape": "Esc"},
    **{"plus": "+", "equals_sign": "=", "minus": "-", "enter": "Enter", "slash": "/"},
}


def key_names(key: Key) -> str:
    """``+ or =``"""
    return " or ".join(NAMES.get(name, name) for name in key.keys.split(","))


def described(place: str) -> list[tuple[str, str]]:
    """Keys and what they do on a screen, for the help page."""
    return [(key_names(key), key.help) for key in KEYS if place in key.places]

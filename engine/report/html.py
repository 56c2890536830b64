"""report.html: the Markdown as one file that needs nothing else, light and dark.

No script, no font, no picture from elsewhere; a policy in the page forbids them too. Text of
strangers was made inert in the Markdown, and raw HTML in it stays text.
"""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from markdown_it.renderer import RendererProtocol
    from markdown_it.token import Token

POLICY = "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'"
STYLE = """
:root{color-scheme:light dark;--ink:#24292f;--paper:#fff;--soft:#59636e;--rule:#d1d9e0;
--tint:#f6f8fa;--mark:#0860ca}
@media(prefers-color-scheme:dark){:root{--ink:#e6edf3;--paper:#0d1117;--soft:#9198a1;
--rule:#3d444d;--tint:#161b22;--mark:#58a6ff}}
body{font:16px/1.55 system-ui,-apple-system,"Segoe UI",Roboto,sans-serif;color:var(--ink);
background:var(--paper);max-width:60rem;margin:2.5rem auto;padding:0 1.25rem}
h1{font-size:1.75rem;line-height:1.25;margin:0 0 .75rem}
h2{font-size:1.2rem;margin:2rem 0 .5rem;padding-bottom:.25rem;border-bottom:1px solid var(--rule)}
p,ul{margin:.6rem 0}li{margin:.15rem 0}
.table{overflow-x:auto;margin:.8rem 0}table{border-collapse:collapse;font-size:.9rem;
font-variant-numeric:tabular-nums}
th,td{border-bottom:1px solid var(--rule);padding:.3rem .9rem .3rem 0;text-align:left;
vertical-align:top;overflow-wrap:break-word}
th{color:var(--soft);font-weight:600;white-space:nowrap}
code,pre{font:.85em/1.5 ui-monospace,"SF Mono",Menlo,Consolas,monospace;background:var(--tint);
border-radius:4px;overflow-wrap:anywhere}code{padding:.1em .3em}
pre{padding:.8rem 1rem;white-space:pre-wrap}pre code{padding:0}
blockquote{margin:1rem 0;padding:.1rem 1rem;border-left:4px solid #b35900;background:var(--tint)}
figure{margin:1rem 0}svg{max-width:45rem;width:100%;height:auto;display:block}
hr{border:0;border-top:3px double var(--rule);margin:3.5rem 0 2rem}
@media print{body{margin:0;max-width:none}hr{break-after:page;border:0;margin:0}
h2{break-after:avoid}figure,tr{break-inside:avoid}}
""".replace("\n", "")


def render_html(markdown: str, pictures: dict[str, str]) -> str:
    """The whole HTML file; ``pictures`` are SVG texts by the address the Markdown gives them.

    Any other picture and every link become text: nothing is fetched, nothing is followed.
    """
    title = next((line[2:] for line in markdown.splitlines() if line.startswith("# ")), "Report")
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        f'<meta http-equiv="Content-Security-Policy" content="{POLICY}">'
        '<meta name="viewport" content="width=device-width,initial-scale=1">'
        f"<title>{escape(title.replace(chr(92), ''))}</title><style>{STYLE}</style></head>\n"
        "<body>\n"
        f"{_render_body(markdown, pictures)}</body></html>\n"
    )


def _render_body(markdown: str, pictures: dict[str, str]) -> str:
    from markdown_it import MarkdownIt

    reader = MarkdownIt("commonmark", {"html": False}).enable("table").disable(["link", "autolink"])

    def show_image(_: RendererProtocol, tokens: Sequence[Token], index: int, *__: object) -> str:
        token = tokens[index]
        svg = pictures.get(str(token.attrGet("src")))
        return f"<figure>{svg}</figure>" if svg else escape(token.content)

    reader.add_render_rule("image", show_image)
    reader.add_render_rule("table_open", lambda *_: '<div class="table"><table>\n')
    reader.add_render_rule("table_close", lambda *_: "</table></div>\n")
    return (
        str(reader.render(markdown))
        .replace("<p><figure>", "<figure>")
        .replace("</figure></p>", "</figure>")
    )

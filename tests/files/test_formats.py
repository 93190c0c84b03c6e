"""What each format's text looks like, with its pages and tables; whole files, as people have them."""

from __future__ import annotations

import json

import pytest

from agentrt.files.extracted import Extracted, page_at
from tests.files.conftest import Read
from tests.files.documents import docx, docx_parts, epub, odf, paragraph, pptx, shape, xlsx, zipped
from tests.files.pdfs import pdf


def pages_of(extracted: Extracted) -> list[tuple[int, str, str]]:
    """Number, label and text of every page."""
    ends = [page.start for page in extracted.pages[1:]] + [len(extracted.text)]
    return [
        (page.number, page.label, extracted.text[page.start : end].strip())
        for page, end in zip(extracted.pages, ends, strict=True)
    ]


def header_of(extracted: Extracted, n: int = 0) -> str:
    table = extracted.tables[n]
    return extracted.text[table.start : table.header_end]


def rows_of(extracted: Extracted, n: int = 0) -> str:
    table = extracted.tables[n]
    return extracted.text[table.header_end : table.end]


# Plain text ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["notes.txt", "notes.md", "main.py", "no-ending", "page.php", "a.tex"])
async def test_text_stays_as_it_is(read: Read, name: str) -> None:
    text = "# Title\r\n\tdef f():\n\n\n  return 'é — 漢字'  \n"
    extracted = await read(text, name)
    assert (extracted.text, extracted.format, extracted.is_verbatim) == (text, "text", True)
    assert (extracted.pages, extracted.tables) == ((), ())


async def test_a_nul_in_a_text_is_replaced_where_it_stands(read: Read) -> None:
    extracted = await read("a" * 300 + "\0" + "b" * 300, "a.txt")
    assert extracted.text == "a" * 300 + "\ufffd" + "b" * 300


async def test_rows_know_their_header(read: Read) -> None:
    extracted = await read("name,town\r\nAda,London\r\nBlaise,Paris\r\n", "people.csv")
    assert header_of(extracted) == "name,town\r\n"
    assert rows_of(extracted) == "Ada,London\r\nBlaise,Paris\r\n"
    assert extracted.is_verbatim


async def test_letters_that_json_has_escaped_can_be_found(read: Read) -> None:
    document = {"name": "Zoë 漢字 😀", "path": "C:\\\\u0041", "quote": '"', "odd": "\ud800!"}
    extracted = await read(json.dumps(document), "people.json")
    assert '"name": "Zoë 漢字 😀"' in extracted.text
    assert json.loads(extracted.text) == document
    assert not extracted.is_verbatim


async def test_json_without_escapes_stays_as_it_is(read: Read) -> None:
    extracted = await read('{"a": "é"}', "a.jsonl")
    assert (extracted.text, extracted.is_verbatim) == ('{"a": "é"}', True)


# Web pages -----------------------------------------------------------------------------------------------------------

PAGE = """<!DOCTYPE html><html><head><title>Prices</title><style>p {color: red}</style>
<script>var hidden = "<p>no</p>";</script></head><body>
<h2>Our <b>prices</b></h2>
<p>They are
   low &amp; fair.&nbsp;Really.</p><p>Next<br>line</p>
<ul><li>one<li>two</ul>
<table><tr><th>Item</th><th>Price</th></tr><tr><td>Tea</td><td>2 €</td></tr></table>
<pre>  keeps
    its spaces</pre>
<svg><text>drawn</text></svg><p>end</body></html>"""


@pytest.mark.parametrize("name", ["page.html", "page.txt", "page"])
async def test_a_web_page_is_what_its_reader_sees(read: Read, name: str) -> None:
    extracted = await read(PAGE, name)
    assert extracted.format == "html"
    assert [line for line in extracted.text.split("\n") if line] == [
        "Prices",
        "## Our prices",
        "They are low & fair. Really.",
        "Next",
        "line",
        "- one",
        "- two",
        "Item | Price",
        "Tea | 2 €",
        "  keeps",
        "    its spaces",
        "end",
    ]


async def test_a_page_says_its_own_encoding(read: Read) -> None:
    html = '<html><head><meta charset="iso-8859-2"></head><body>Żółw i żaba</body></html>'
    assert "Żółw i żaba" in (await read(html.encode("iso-8859-2"), "a.html")).text


async def test_a_page_with_deep_nesting_is_read(read: Read) -> None:
    extracted = await read("<html>" + "<div>" * 100_000 + "deep" + "</div>" * 100_000, "a.html")
    assert extracted.text == "deep\n"


async def test_a_page_that_ends_in_the_middle_is_read_so_far(read: Read) -> None:
    assert (await read("<html><body><p>so far<p>and", "a.html")).text.split() == ["so", "far", "and"]


# PDF -----------------------------------------------------------------------------------------------------------------


async def test_a_pdf_has_pages(read: Read) -> None:
    extracted = await read(pdf("First page\nsecond line", "", "Third (page) – é"), "a.pdf")
    assert extracted.format == "pdf"
    assert pages_of(extracted) == [(1, "", "First page\nsecond line"), (2, "", ""), (3, "", "Third (page) – é")]
    third = page_at(extracted.pages, extracted.text.index("Third"))
    assert third is not None
    assert third.number == 3


@pytest.mark.parametrize("name", ["a.txt", "a.docx", "a"])
async def test_a_pdf_of_another_name_is_a_pdf(read: Read, name: str) -> None:
    assert (await read(pdf("Hello"), name)).format == "pdf"


async def test_a_pdf_with_something_before_it_is_read(read: Read) -> None:
    assert (await read(b"X-Mailer: junk\r\n\r\n" + pdf("Hello"), "a.pdf")).text == "Hello\n"


async def test_a_pdf_whose_end_is_missing_is_read_where_it_can_be_repaired(read: Read) -> None:
    data = pdf("Hello")
    assert (await read(data[: data.index(b"startxref")], "a.pdf")).text == "Hello\n"


async def test_a_pdf_that_only_its_owner_may_change_is_read(read: Read) -> None:
    assert (await read(pdf("Hello", owner="secret"), "a.pdf")).text == "Hello\n"


async def test_a_word_that_was_divided_at_the_end_of_a_line_is_one_word(read: Read) -> None:
    extracted = await read(pdf("a long exam-\nple of text"), "a.pdf")
    assert "example" in extracted.text


# Office --------------------------------------------------------------------------------------------------------------

STYLES = '<w:style w:styleId="berschrift2"><w:name w:val="heading 2"/></w:style>'


async def test_a_word_document_has_headings_tables_and_notes(read: Read) -> None:
    cells = "".join(f"<w:tc>{paragraph(text)}</w:tc>" for text in ("Tea", "2 €"))
    box = f"<w:txbxContent>{paragraph('in a box')}</w:txbxContent>"
    twice = f"<w:p><w:r><mc:C xmlns:mc='m'>{box}</mc:C><mc:Fallback xmlns:mc='m'>{box}</mc:Fallback></w:r></w:p>"
    deleted = "<w:p><w:del><w:r><w:delText>gone</w:delText></w:r></w:del><w:ins><w:r><w:t>new</w:t></w:r></w:ins></w:p>"
    body = (
        paragraph("Kapitel", "berschrift2")
        + paragraph("Hello &amp; welcome")
        + f"<w:tbl><w:tr>{cells}</w:tr></w:tbl>"
        + twice
        + deleted
        + "<w:p><w:r><w:t>a</w:t><w:tab/><w:t>b</w:t><w:br/><w:t>c</w:t></w:r></w:p>"
    )
    data = zipped(docx_parts(body, styles=STYLES, footnotes=paragraph("A note.")))
    extracted = await read(data, "a.docx")
    assert extracted.format == "docx"
    assert extracted.text == "\n## Kapitel\nHello & welcome\nTea | 2 €\nin a box\nnew\na\tb\nc\nA note.\n"
    assert extracted.pages == ()


async def test_a_word_document_has_the_pages_that_word_has_noted(read: Read) -> None:
    broken = "<w:p><w:r><w:t>One two </w:t><w:lastRenderedPageBreak/><w:t>three.</w:t></w:r></w:p>"
    extracted = await read(zipped(docx_parts(broken + paragraph("Four."))), "a.docx")
    assert pages_of(extracted) == [(1, "", "One two"), (2, "", "three.\nFour.")]


async def test_a_presentation_has_its_slides_in_the_order_of_the_show(read: Read) -> None:
    table = (
        "<a:tbl><a:tr>"
        + "".join(f"<a:tc><a:p><a:r><a:t>{t}</a:t></a:r></a:p></a:tc>" for t in "xy")
        + "</a:tr></a:tbl>"
    )
    slides = [
        shape("Second", "slide") + shape("7", kind="sldNum"),
        shape("First") + f"<p:graphicFrame>{table}</p:graphicFrame>",
    ]
    extracted = await read(pptx(slides, {2: "Say hello."}, order=[2, 1]), "a.pptx")
    assert extracted.format == "pptx"
    assert pages_of(extracted) == [(1, "", "First\nx | y\nNotes: Say hello."), (2, "", "Second\nslide")]


SHEET = """<row><c r="A1" t="s"><v>0</v></c><c r="B1" t="s"><v>1</v></c>
<c r="D1" t="inlineStr"><is><t>when</t></is></c></row>
<row/><row><c r="A3" t="str"><f>A1</f><v>Tea\n2</v></c><c r="B3"><v>0.30000000000000004</v></c>
<c r="C3" t="b"><v>1</v></c><c r="D3" s="1"><v>45000.75</v></c><c r="E3" s="2"><v>45000</v></c>
<c r="F3" s="3"><v>7</v></c></row>"""
SHEET_STYLES = """<numFmts><numFmt numFmtId="164" formatCode="yyyy\\-mm"/>
<numFmt numFmtId="165" formatCode="0 &quot;days&quot;"/></numFmts>
<cellStyleXfs><xf numFmtId="14"/></cellStyleXfs>
<cellXfs><xf numFmtId="0"/><xf numFmtId="22"/><xf numFmtId="164"/><xf numFmtId="165"/></cellXfs>"""


async def test_a_workbook_has_sheets_rows_and_dates(read: Read) -> None:
    shared = ["<t>item</t>", "<r><t>pri</t></r><r><t>ce</t></r><rPh><t>purasu</t></rPh>"]
    more = "<row><c><v>1</v></c><c><v>2</v></c></row><row><c r='B2'><v>3</v></c></row>"
    data = xlsx({"Prices": SHEET, "Empty": "", "More": more}, shared=shared, styles=SHEET_STYLES)
    extracted = await read(data, "a.xlsx")
    assert extracted.format == "xlsx"
    assert pages_of(extracted) == [
        (1, "Prices", "# Prices\nitem\tprice\t\twhen\nTea 2\t0.3\tTRUE\t2023-03-15 18:00:00\t2023-03-15\t7"),
        (2, "Empty", ""),
        (3, "More", "# More\n1\t2\n\t3"),
    ]
    assert (header_of(extracted), header_of(extracted, 1)) == ("item\tprice\t\twhen\n", "1\t2\n")
    assert rows_of(extracted, 1) == "\t3\n"


async def test_a_workbook_of_an_old_mac_counts_days_from_1904(read: Read) -> None:
    sheet = '<row><c s="1"><v>1</v></c><c s="1"><v>0.5</v></c></row>'
    data = xlsx({"A": sheet}, styles=SHEET_STYLES, properties='<workbookPr date1904="1"/>')
    assert "1904-01-02\t12:00:00" in (await read(data, "a.xlsx")).text


async def test_a_book_has_chapters(read: Read) -> None:
    extracted = await read(epub("<h1>One</h1><p>It&nbsp;began.</p>", "<h1>Two</h1><p>It ended.</p>"), "a.epub")
    assert extracted.format == "epub"
    assert pages_of(extracted) == [(1, "One", "# One\n\nIt began."), (2, "Two", "# Two\n\nIt ended.")]


async def test_an_opendocument_text_is_read(read: Read) -> None:
    body = '<text:h text:outline-level="2">Head</text:h><text:p>a<text:s text:c="3"/>b<text:tab/>c</text:p>'
    rows = (
        "<table:table><table:table-row>"
        + "".join(f"<table:table-cell><text:p>{t}</text:p></table:table-cell>" for t in "xy")
        + "</table:table-row></table:table>"
    )
    extracted = await read(odf("text", body + rows), "a.odt")
    assert (extracted.format, extracted.text) == ("odt", "\n## Head\na   b\tc\nx | y\n")


async def test_an_opendocument_spreadsheet_is_read(read: Read) -> None:
    def row(*texts: str) -> str:
        cells = "".join(f"<table:table-cell><text:p>{text}</text:p></table:table-cell>" for text in texts)
        rest = '<table:table-cell table:number-columns-repeated="16000"/>'
        return f"<table:table-row>{cells}{rest}</table:table-row>"

    rows = row("item", "price") + row() + row("Tea", "2")
    sheet = f'<table:table table:name="Prices">{rows}</table:table>'
    extracted = await read(odf("spreadsheet", sheet), "a.ods")
    assert pages_of(extracted) == [(1, "Prices", "# Prices\nitem\tprice\nTea\t2")]
    assert (header_of(extracted), rows_of(extracted)) == ("item\tprice\n", "Tea\t2\n")


async def test_an_opendocument_presentation_is_read(read: Read) -> None:
    slides = "".join(f'<draw:page draw:name="p{n}"><text:p>Slide {n}</text:p></draw:page>' for n in (1, 2))
    assert pages_of(await read(odf("presentation", slides), "a.odp")) == [(1, "p1", "Slide 1"), (2, "p2", "Slide 2")]


# Mail ----------------------------------------------------------------------------------------------------------------

MAIL = """Received: from a by b
Subject: =?utf-8?q?Gr=C3=BC=C3=9Fe?=
From: Ada <ada@example.com>
To: blaise@example.com
MIME-Version: 1.0
Content-Type: multipart/mixed; boundary=x

--x
Content-Type: multipart/alternative; boundary=y

--y
Content-Type: text/plain; charset=iso-8859-1
Content-Transfer-Encoding: quoted-printable

Sch=F6ne Gr=FC=DFe
--y
Content-Type: text/html

<p>not this</p>
--y--
--x
Content-Type: application/pdf
Content-Disposition: attachment; filename="bill.pdf"
Content-Transfer-Encoding: base64

JVBERg==
--x--
"""


@pytest.mark.parametrize("name", ["a.eml", "saved.txt"])
async def test_a_mail_is_who_wrote_what(read: Read, name: str) -> None:
    extracted = await read(MAIL.replace("\n", "\r\n"), name)
    assert extracted.format == "eml"
    assert extracted.text.split("\n") == [
        "Subject: Grüße",
        "From: Ada <ada@example.com>",
        "To: blaise@example.com",
        "",
        "Schöne Grüße",
        "",
        "Attachments: bill.pdf",
        "",
    ]


async def test_a_mail_of_html_only_is_read(read: Read) -> None:
    mail = "Subject: Hi\nContent-Type: text/html; charset=utf-8\n\n<p>Hello <b>you</b></p>"
    assert (await read(mail, "a.eml")).text == "Subject: Hi\n\nHello you\n"


async def test_a_text_with_a_colon_in_its_first_line_is_no_mail(read: Read) -> None:
    assert (await read("Note: buy tea\nLater: more\n", "a.txt")).format == "text"


async def test_a_document_of_another_name_is_a_document(read: Read) -> None:
    assert (await read(docx("Hello"), "a.pdf")).text == "Hello\n"

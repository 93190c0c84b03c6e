"""Office documents, books and mails made by hand: the smallest that the formats allow."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Mapping, Sequence

_RELATIONS = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
_XML = '<?xml version="1.0" encoding="UTF-8" standalone="yes"?>\n'
_W = 'xmlns:w="http://schemas.openxmlformats.org/wordprocessingml/2006/main"'
_P = (
    f'xmlns:p="http://schemas.openxmlformats.org/presentationml/2006/main" xmlns:r="{_RELATIONS}" '
    'xmlns:a="http://schemas.openxmlformats.org/drawingml/2006/main"'
)
_S = f'xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main" xmlns:r="{_RELATIONS}"'
_ODF = " ".join(
    f'xmlns:{name}="urn:oasis:names:tc:opendocument:xmlns:{name}:1.0"'
    for name in ("office", "text", "table", "drawing", "draw")
)


def zipped(parts: Mapping[str, str | bytes]) -> bytes:
    """An archive with these members."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in parts.items():
            archive.writestr(name, data)
    return out.getvalue()


def relations(*targets: tuple[str, str, str]) -> str:
    """A relationship file: (id, kind, target) of each."""
    inner = "".join(
        f'<Relationship Id="{id_}" Type="{_RELATIONS}/{kind}" Target="{target}"/>' for id_, kind, target in targets
    )
    return f'{_XML}<Relationships xmlns="http://schemas.openxmlformats.org/package/2006/relationships">{inner}</Relationships>'


def docx_parts(body: str, **others: str) -> dict[str, str | bytes]:
    """The members of a Word document. body: the inside of `w:body`; others: parts such as styles="…" in `word/`."""
    related = [(f"rId{i}", kind, f"{kind}.xml") for i, kind in enumerate(others)]
    return {
        "[Content_Types].xml": "<Types/>",
        "_rels/.rels": relations(("rId1", "officeDocument", "word/document.xml")),
        "word/document.xml": f"{_XML}<w:document {_W}><w:body>{body}</w:body></w:document>",
        "word/_rels/document.xml.rels": relations(*related),
        **{f"word/{kind}.xml": f"{_XML}<w:{kind} {_W}>{inner}</w:{kind}>" for kind, inner in others.items()},
    }


def paragraph(text: str, style: str = "") -> str:
    """A paragraph of a Word document."""
    properties = f'<w:pPr><w:pStyle w:val="{style}"/></w:pPr>' if style else ""
    return f'<w:p>{properties}<w:r><w:t xml:space="preserve">{text}</w:t></w:r></w:p>'


def docx(*paragraphs: str) -> bytes:
    """A Word document with these paragraphs."""
    return zipped(docx_parts("".join(map(paragraph, paragraphs))))


def shape(*lines: str, kind: str = "") -> str:
    """A text shape of a slide. kind: of its placeholder."""
    placeholder = f'<p:nvSpPr><p:nvPr><p:ph type="{kind}"/></p:nvPr></p:nvSpPr>' if kind else ""
    text = "".join(f"<a:p><a:r><a:t>{line}</a:t></a:r></a:p>" for line in lines)
    return f"<p:sp>{placeholder}<p:txBody>{text}</p:txBody></p:sp>"


def pptx(slides: Sequence[str], notes: Mapping[int, str] | None = None, *, order: Sequence[int] = ()) -> bytes:
    """A presentation. slides: the shapes of each; notes: those of slide number …; order: of the show, by number."""
    numbers = order or range(1, len(slides) + 1)
    listed = "".join(f'<p:sldId id="{255 + n}" r:id="rId{n}"/>' for n in numbers)
    parts: dict[str, str | bytes] = {
        "[Content_Types].xml": "<Types/>",
        "_rels/.rels": relations(("rId1", "officeDocument", "ppt/presentation.xml")),
        "ppt/presentation.xml": f"{_XML}<p:presentation {_P}><p:sldIdLst>{listed}</p:sldIdLst></p:presentation>",
        "ppt/_rels/presentation.xml.rels": relations(*((f"rId{n}", "slide", f"slides/slide{n}.xml") for n in numbers)),
    }
    for n, shapes in enumerate(slides, 1):
        parts[f"ppt/slides/slide{n}.xml"] = f"{_XML}<p:sld {_P}><p:cSld><p:spTree>{shapes}</p:spTree></p:cSld></p:sld>"
        if notes and n in notes:
            parts[f"ppt/slides/_rels/slide{n}.xml.rels"] = relations(
                ("rId1", "notesSlide", f"../notesSlides/notesSlide{n}.xml")
            )
            inner = f"<p:cSld><p:spTree>{shape(notes[n])}{shape(str(n), kind='sldNum')}</p:spTree></p:cSld>"
            parts[f"ppt/notesSlides/notesSlide{n}.xml"] = f"{_XML}<p:notes {_P}>{inner}</p:notes>"
    return zipped(parts)


def xlsx(sheets: Mapping[str, str], *, shared: Sequence[str] = (), styles: str = "", properties: str = "") -> bytes:
    """A workbook. sheets: name → the inside of `sheetData`; shared: its `si` items; styles: of `styleSheet`."""
    listed = "".join(f'<sheet name="{name}" sheetId="{n}" r:id="rId{n}"/>' for n, name in enumerate(sheets, 1))
    related = [(f"rId{n}", "worksheet", f"worksheets/sheet{n}.xml") for n in range(1, len(sheets) + 1)]
    related += [("rId90", "sharedStrings", "sharedStrings.xml"), ("rId91", "styles", "styles.xml")]
    parts: dict[str, str | bytes] = {
        "[Content_Types].xml": "<Types/>",
        "_rels/.rels": relations(("rId1", "officeDocument", "xl/workbook.xml")),
        "xl/workbook.xml": f"{_XML}<workbook {_S}>{properties}<sheets>{listed}</sheets></workbook>",
        "xl/_rels/workbook.xml.rels": relations(*related),
        "xl/sharedStrings.xml": f"{_XML}<sst {_S}>{''.join(f'<si>{item}</si>' for item in shared)}</sst>",
        "xl/styles.xml": f"{_XML}<styleSheet {_S}>{styles}</styleSheet>",
    }
    for n, rows in enumerate(sheets.values(), 1):
        parts[f"xl/worksheets/sheet{n}.xml"] = f"{_XML}<worksheet {_S}><sheetData>{rows}</sheetData></worksheet>"
    return zipped(parts)


def epub(*chapters: str, encrypted: str = "") -> bytes:
    """A book. chapters: the inside of each one's body; encrypted: the name of a member that is said to be."""
    items = "".join(
        f'<item id="c{n}" href="text/{n}.xhtml" media-type="application/xhtml+xml"/>' for n in range(len(chapters))
    )
    spine = "".join(f'<itemref idref="c{n}"/>' for n in range(len(chapters)))
    parts: dict[str, str | bytes] = {
        "mimetype": "application/epub+zip",
        "META-INF/container.xml": '<container><rootfiles><rootfile full-path="OPS/book.opf"/></rootfiles></container>',
        "OPS/book.opf": f"<package><manifest>{items}</manifest><spine>{spine}</spine></package>",
    }
    doctype = '<!DOCTYPE html PUBLIC "-//W3C//DTD XHTML 1.1//EN" "http://www.w3.org/TR/xhtml11/DTD/xhtml11.dtd">'
    for n, chapter in enumerate(chapters):
        body = f'<html xmlns="http://www.w3.org/1999/xhtml"><body>{chapter}</body></html>'
        parts[f"OPS/text/{n}.xhtml"] = _XML + doctype + body
    if encrypted:
        parts["META-INF/encryption.xml"] = f'<encryption><CipherReference URI="{encrypted}"/></encryption>'
    return zipped(parts)


def odf(kind: str, body: str, *, manifest: str = "") -> bytes:
    """An OpenDocument file. kind: `text`, `spreadsheet`, `presentation`; body: the inside of its element."""
    inner = f"<office:body><office:{kind}>{body}</office:{kind}></office:body>"
    content = f"<office:document-content {_ODF}>{inner}</office:document-content>"
    return zipped(
        {
            "mimetype": f"application/vnd.oasis.opendocument.{kind}",
            "META-INF/manifest.xml": f"<manifest>{manifest}</manifest>",
            "content.xml": _XML + content,
        }
    )


def ole(*streams: str) -> bytes:
    """What an Office file of before 2007 begins with, and the names of its streams."""
    names = b"".join(stream.encode("utf-16-le").ljust(128, b"\0") for stream in streams)
    return b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(504) + names

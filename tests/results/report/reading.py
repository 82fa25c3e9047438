"""A strict reader of a page: tags that do not match are errors, tables come by their captions."""

from html.parser import HTMLParser

VOID = {"meta", "img", "link", "br", "hr", "input"}


class Page(HTMLParser):
    """What a page holds."""

    def __init__(self, text):
        super().__init__(convert_charrefs=True)
        self.open, self.ids, self.links, self.sources, self.tags = [], [], [], [], []
        self.tables, self.headings, self.texts = {}, [], []
        self._caption = self._cell = None
        self._rows = []
        self.feed(text)
        self.close()
        assert not self.open, f"never closed: {self.open}"

    def handle_starttag(self, tag, attributes):
        names = [name for name, _ in attributes]
        assert len(set(names)) == len(names), (tag, names)
        found = dict(attributes)
        self.tags.append((tag, found))
        self.ids += [found["id"]] if "id" in found else []
        self.links += [found["href"]] if "href" in found else []
        self.sources += [found["src"]] if "src" in found else []
        if tag not in VOID:
            self.open.append(tag)
        if tag in ("h1", "h2", "h3", "summary", "td", "th"):
            self._cell = ""
        if tag == "table":
            self._rows = []
        if tag == "tr":
            self._rows.append([])

    def handle_endtag(self, tag):
        assert self.open, f"</{tag}> closes nothing"
        assert self.open.pop() == tag, f"</{tag}> in {self.open}"
        if tag in ("td", "th"):
            self._rows[-1].append(self._cell)
        elif tag in ("h1", "h2", "h3", "summary"):
            self.headings.append(self._cell)
            self._caption = self._cell
        elif tag == "table":
            self.tables[self._caption] = self._rows

    def handle_data(self, data):
        if self._cell is not None:
            self._cell += data
        if "style" not in self.open:
            self.texts.append(data)

    @property
    def text(self):
        """All that is read, one blank between words."""
        return " ".join(" ".join(self.texts).split())

//! Builds addresses and forms from any bytes. Much of it is nearly valid.

/// Texts that mean something to the page, and texts that end or begin something in an address, in HTML or in a shell.
const TEXTS: [&str; 36] = [
    "",
    "1",
    "oldest",
    "everything",
    "redrive",
    "run-now",
    "delete",
    "ignored",
    "in progress",
    "Document",
    "doc-1",
    "2h",
    "1d 3h",
    "99999999999y",
    "18446744073709551615s",
    "2026-11-29",
    "2026-11-29T08:00:00",
    "2026-11-29T08:00:00Z",
    "0000-01-01T00:00:00+23:59",
    "+262142-12-31",
    "-262143-01-01T00:00:00",
    "9999-12-31T23:59:60Z",
    "a&b=c;d",
    "50%",
    "%zz%f0%9f",
    "a+b c",
    "it's \"so\"",
    "--yes",
    "-",
    "$(date) `date` \\ !! *",
    "\"><script>&amp;&#39;",
    "é漢😀\u{0}\u{301}",
    "\r\n\t",
    "\u{202E}\u{FEFF}",
    "../../u/other?id=x#y",
    "__tracker__",
];

/// Reads bytes as choices. After their end, each choice is 0.
pub(super) struct Source<'b> {
    bytes: &'b [u8],
}

impl<'b> Source<'b> {
    /// Returns a source of these bytes.
    pub(super) fn new(bytes: &'b [u8]) -> Self {
        Self { bytes }
    }

    /// Returns the next bytes, at most `most`.
    pub(super) fn take(&mut self, most: usize) -> &'b [u8] {
        let (taken, rest) = self.bytes.split_at(most.min(self.bytes.len()));
        self.bytes = rest;
        taken
    }

    fn byte(&mut self) -> u8 {
        self.take(1).first().copied().unwrap_or(0)
    }

    /// Returns a number below a limit of at most 256.
    pub(super) fn below(&mut self, limit: usize) -> usize {
        usize::from(self.byte()) % limit
    }

    /// Returns one of these texts.
    pub(super) fn pick<'t>(&mut self, from: &[&'t str]) -> &'t str {
        from[self.below(from.len())]
    }

    /// Returns bytes of which a few were changed, inserted or removed.
    pub(super) fn mutated(&mut self, mut bytes: Vec<u8>) -> Vec<u8> {
        for _ in 0..=self.below(3) {
            let at = usize::from(self.byte()) * (bytes.len() + 1) / 256;
            match self.below(4) {
                0 => bytes.insert(at, self.byte()),
                1 if at < bytes.len() => drop(bytes.remove(at)),
                2 => bytes.truncate(at),
                _ if at < bytes.len() => bytes[at] = self.byte(),
                _ => {}
            }
        }
        bytes
    }

    /// Returns a text, often one that means something.
    pub(super) fn text(&mut self) -> String {
        let near = self.pick(&TEXTS);
        match self.below(6) {
            0 => {
                let length = self.below(48);
                String::from_utf8_lossy(self.take(length)).into_owned()
            }
            1 => String::from_utf8_lossy(&self.mutated(near.as_bytes().to_vec())).into_owned(),
            2 => format!("{near}{}", self.pick(&TEXTS)),
            _ => near.to_owned(),
        }
    }
}

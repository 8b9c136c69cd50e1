//! Tables for people.

use anstyle::{AnsiColor, Style};
use unicode_width::UnicodeWidthStr as _;

use super::line;
use super::text::escaped;
use crate::exit::Failure;

/// A table whose columns are as wide as their widest cell. The last column may be of any length.
#[derive(Debug, Default)]
pub(crate) struct Table {
    head: Vec<&'static str>,
    rows: Vec<(Style, Vec<String>)>,
}

impl Table {
    pub(crate) fn new(head: &[&'static str]) -> Self {
        Self { head: head.to_vec(), rows: Vec::new() }
    }

    pub(crate) fn row(&mut self, style: Style, cells: &[String]) {
        self.rows.push((style, cells.iter().map(|cell| escaped(cell)).collect()));
    }

    /// Returns the lines of the table, each with its style.
    fn lines(&self) -> Vec<(Style, String)> {
        let head: Vec<String> = self.head.iter().map(|name| (*name).to_owned()).collect();
        let all = || std::iter::once(&head).chain(self.rows.iter().map(|(_, cells)| cells));
        let width = |nth: usize| all().filter_map(|cells| cells.get(nth)).map(|cell| cell.width()).max();
        let widths: Vec<_> = (0..self.head.len()).map(|nth| width(nth).unwrap_or(0)).collect();
        let render = |cells: &Vec<String>| {
            let mut text = String::new();
            for (cell, width) in cells.iter().zip(&widths) {
                text.push_str(cell);
                text.push_str(&" ".repeat(width - cell.width() + 2));
            }
            text.trim_end().to_owned()
        };
        let header = (Style::new().bold(), render(&head));
        std::iter::once(header)
            .chain(self.rows.iter().map(|(style, cells)| (*style, render(cells))))
            .collect()
    }

    /// Prints the table, unless it has no rows.
    pub(crate) fn print(&self) -> Result<(), Failure> {
        if self.rows.is_empty() {
            return Ok(());
        }
        self.lines().iter().try_for_each(|(style, text)| line(&format!("{style}{text}{style:#}")))
    }
}

/// Returns the style of a status.
pub(crate) fn style_of(role: Option<tracker_core::Role>) -> Style {
    use tracker_core::Role;
    match role {
        Some(Role::Failed) => AnsiColor::Yellow.on_default(),
        Some(Role::Ignored) => AnsiColor::Red.on_default(),
        Some(Role::Succeeded) => AnsiColor::Green.on_default(),
        Some(Role::InProgress) => AnsiColor::Cyan.on_default(),
        _ => Style::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_as_wide_as_their_widest_cell() {
        let mut table = Table::new(&["ID", "STATUS"]);
        table.row(Style::new(), &["漢字".to_owned(), "Failed".to_owned()]);
        table.row(Style::new(), &["a\u{1b}[31m".to_owned(), "Done".to_owned()]);
        let lines: Vec<_> = table.lines().into_iter().map(|(_, text)| text).collect();
        assert_eq!(lines, ["ID           STATUS", "漢字         Failed", "a\\u{1b}[31m  Done"]);
    }
}

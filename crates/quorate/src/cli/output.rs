//! How answers look: lines, JSON or a table.
//!
//! A command describes its answer once, as a [`Report`]; nothing else in the tree knows the
//! formats. Reports are rendered in memory, so that a test can look at them.

use serde::Serialize;

use super::failure::Failure;
use super::message::KeyValue;

/// The formats.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Format {
    /// Lines.
    Simple,
    /// One line of JSON.
    Json,
    /// A table with a heading.
    Table,
}

/// How bytes look.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Style {
    /// As they are.
    Plain,
    /// As `\x61\x62`.
    Hex,
}

/// An answer that can be printed in every format.
pub(super) trait Report {
    /// The shape of the JSON.
    type Json: Serialize;

    /// Writes the lines, each with its end.
    fn simple(&self, style: Style, out: &mut Vec<u8>);

    /// The JSON, shaped as etcdctl's.
    fn json(&self, style: Style) -> Self::Json;

    /// The table; `None` where a table would say no more than the lines.
    fn table(&self, style: Style) -> Option<Table>;
}

/// Renders a report.
pub(super) fn render(
    report: &impl Report,
    format: Format,
    style: Style,
) -> Result<Vec<u8>, Failure> {
    let mut out = Vec::new();
    match format {
        Format::Simple => report.simple(style, &mut out),
        Format::Json => {
            out = serde_json::to_vec(&report.json(style))
                .map_err(|error| Failure::new(format!("the answer does not fit JSON: {error}")))?;
            out.push(b'\n');
        }
        Format::Table => match report.table(style) {
            Some(table) => out = table.render().into_bytes(),
            None => report.simple(style, &mut out),
        },
    }
    Ok(out)
}

/// Writes bytes and a line end.
pub(super) fn line(out: &mut Vec<u8>, bytes: &[u8], style: Style) {
    match style {
        Style::Plain => out.extend_from_slice(bytes),
        Style::Hex => out.extend_from_slice(hex(bytes).as_bytes()),
    }
    out.push(b'\n');
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("\\x{byte:02x}")).collect()
}

/// Bytes in a table: hexadecimal if asked for, and nothing that would break the line.
pub(super) fn cell(bytes: &[u8], style: Style) -> String {
    match style {
        Style::Plain => String::from_utf8_lossy(bytes)
            .chars()
            .flat_map(|c| if c.is_control() { c.escape_default().collect() } else { vec![c] })
            .collect(),
        Style::Hex => hex(bytes),
    }
}

/// A pair as two lines.
pub(super) fn pair(out: &mut Vec<u8>, kv: &KeyValue, style: Style) {
    line(out, &kv.key, style);
    line(out, &kv.value, style);
}

/// A table of pairs with their history.
pub(super) fn pairs_table(pairs: &[KeyValue], style: Style) -> Table {
    let mut table = Table::new(["KEY", "VALUE", "CREATED", "MODIFIED", "VERSION"]);
    for kv in pairs {
        table.row([
            cell(&kv.key, style),
            cell(&kv.value, style),
            kv.create_revision.to_string(),
            kv.mod_revision.to_string(),
            kv.version.to_string(),
        ]);
    }
    table
}

/// Rows under a heading.
#[derive(Debug)]
pub(super) struct Table {
    heading: Vec<String>,
    rows: Vec<Vec<String>>,
}

impl Table {
    pub(super) fn new<const N: usize>(heading: [&str; N]) -> Self {
        Self { heading: heading.map(str::to_owned).to_vec(), rows: Vec::new() }
    }

    /// Adds a row; it has as many cells as the heading.
    pub(super) fn row<const N: usize>(&mut self, cells: [String; N]) {
        assert_eq!(N, self.heading.len(), "a row and the heading differ in their cells");
        self.rows.push(cells.to_vec());
    }

    fn render(&self) -> String {
        let lines = || std::iter::once(&self.heading).chain(&self.rows);
        let width =
            |column: usize| lines().map(|cells| cells[column].chars().count()).max().unwrap_or(0);
        let widths: Vec<usize> = (0..self.heading.len()).map(width).collect();
        let rule: String =
            widths.iter().map(|width| format!("+{}", "-".repeat(width + 2))).collect();
        let rule = rule + "+\n";
        let mut text = rule.clone();
        for (position, cells) in lines().enumerate() {
            for (cell, width) in cells.iter().zip(&widths) {
                text.push_str(&format!("| {cell:<width$} "));
            }
            text.push_str("|\n");
            if position == 0 {
                text.push_str(&rule);
            }
        }
        if !self.rows.is_empty() {
            text.push_str(&rule);
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_is_as_wide_as_its_widest_cells() {
        let mut table = Table::new(["KEY", "V"]);
        table.row(["ä".to_owned(), "long".to_owned()]);
        let expected = "\
            +-----+------+\n\
            | KEY | V    |\n\
            +-----+------+\n\
            | ä   | long |\n\
            +-----+------+\n";
        assert_eq!(table.render(), expected);
        assert_eq!(Table::new(["A"]).render(), "+---+\n| A |\n+---+\n");
    }

    #[test]
    fn bytes_are_shown_as_they_are_or_in_hex() {
        let mut out = Vec::new();
        line(&mut out, b"a\xff", Style::Plain);
        line(&mut out, b"a\xff", Style::Hex);
        assert_eq!(out, b"a\xff\n\\x61\\xff\n");
        assert_eq!(cell(b"a\nb", Style::Plain), "a\\nb");
    }
}

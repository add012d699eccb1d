//! Patterns of scanners in the blob.

use super::blob::{Builder, Section};
use super::text::Text;
use crate::tables::Tool;

/// Offset and length of the pattern, header, kind.
pub(super) type ToolRecord = [u32; 4];

/// Adds the section of patterns.
pub(super) fn compile(tools: &[Tool], text: &mut Text, out: &mut Builder) -> Option<()> {
    let record = |tool: &Tool| {
        let (offset, len) = (text.add(&tool.pattern)?, tool.pattern.len() as u32);
        Some([offset, len, tool.header as u32, tool.kind as u32])
    };
    let records = tools.iter().map(record).collect::<Option<Vec<ToolRecord>>>()?;
    out.section(Section::Tools, &records)
}

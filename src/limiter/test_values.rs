//! A limiter for tests: its classes have a window and a size.

use bytemuck::{Pod, Zeroable};

use super::classes::ClassId;
use super::parse;
use super::rules::{Field, Values};

#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Pod, Zeroable)]
pub struct TestValues {
    /// In ms.
    pub window: u32,
    pub size: u32,
}

impl Values for TestValues {
    type Common = u32;

    const FIELDS: &'static [Field<Self>] = &[
        Field { key: "window", parse: parse::duration, of: |values| &mut values.window },
        Field { key: "size", parse: |text| parse::within(text, 0, 9), of: |v| &mut v.size },
    ];
    const COMMON: u32 = 7;
    const COMPANY_SOURCES: Option<ClassId> = None;
    const UNSET: Self = TestValues { window: 0, size: 0 };

    fn window_ms(&self) -> u32 {
        self.window
    }
}

//! Long lists, page by page.

use crate::host::contract::rpc::{Call, Fault, Node};

/// The page that was asked for.
#[derive(Clone, Copy)]
pub struct Page {
    /// From 1.
    number: usize,
    /// Items on a page.
    size: usize,
}

impl Page {
    /// Reads the next argument; the first page without one.
    ///
    /// # Errors
    /// A fault that names the argument.
    pub fn read(call: &Call, size: usize) -> Result<Self, Fault> {
        let number = call.number("page", 1..=1_000_000)?.unwrap_or(1) as usize;
        Ok(Page { number, size })
    }

    /// Whether the item at a position, from 0, is on this page.
    pub fn has(self, position: usize) -> bool {
        position / self.size + 1 == self.number
    }

    /// The items that are on this page.
    pub fn of<I: Iterator>(self, items: I) -> impl Iterator<Item = I::Item> {
        items.skip((self.number - 1) * self.size).take(self.size)
    }

    /// Fails where there is no such page of `total` items.
    ///
    /// # Errors
    /// A fault that names the last page.
    pub fn check(self, total: usize) -> Result<(), Fault> {
        let (page, pages) = (self.number, self.pages(total));
        if page > pages {
            return Err(Fault::argument(format!("page {page}: the last one is {pages}")));
        }
        Ok(())
    }

    /// Adds number of the page and of all pages to a reply.
    pub fn tell(self, reply: &Node<'_>, total: usize) {
        reply.int(c"page", self.number as u64);
        reply.int(c"pages", self.pages(total) as u64);
    }

    fn pages(self, total: usize) -> usize {
        total.div_ceil(self.size).max(1)
    }
}

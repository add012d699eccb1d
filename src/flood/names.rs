//! Names of the classes of sources.

use super::rules::ClassId;
use super::settings::MAX_CLASSES;

/// Stands where a class could: the source is in none.
const EXEMPT: &str = "exempt";
const DEFAULT: &str = "default";

/// Names of the classes that the operator has made, in the order of their ids
/// from 1 on; `default` is there always.
#[derive(Clone, Debug, Default)]
pub struct ClassNames(Vec<String>);

impl ClassNames {
    /// Whether no class can be made with this name.
    pub fn is_reserved(name: &str) -> bool {
        matches!(name, EXEMPT | DEFAULT)
    }

    /// Adds a class.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn add(&mut self, name: String) -> Result<(), String> {
        let refused = |what: &str| Err(format!("class {name} {what}"));
        if self.0.contains(&name) {
            return refused("stands twice");
        }
        if self.0.len() + 1 >= MAX_CLASSES {
            return refused("is one too many: 14 fit");
        }
        self.0.push(name);
        Ok(())
    }

    /// The class with this name.
    pub fn id(&self, name: &str) -> Option<ClassId> {
        self.ids().find(|id| self.name(Some(*id)) == name)
    }

    /// Reads `exempt` (no class) or the name of a class; None if it is neither.
    pub fn parse(&self, text: &str) -> Option<Option<ClassId>> {
        match text {
            EXEMPT => Some(None),
            name => self.id(name).map(Some),
        }
    }

    /// The name of a class; None is `exempt`.
    pub fn name(&self, class: Option<ClassId>) -> &str {
        match class {
            None => EXEMPT,
            Some(ClassId(0)) => DEFAULT,
            Some(ClassId(id)) => self.0.get(usize::from(id) - 1).map_or("", String::as_str),
        }
    }

    /// All classes, `default` first.
    pub fn ids(&self) -> impl Iterator<Item = ClassId> + use<> {
        (0..=self.0.len()).map(|id| ClassId(id as u8))
    }

    /// All that [`ClassNames::parse`] reads, for messages.
    pub fn all(&self) -> String {
        let names = self.ids().map(|id| self.name(Some(id)));
        std::iter::once(EXEMPT).chain(names).collect::<Vec<_>>().join(", ")
    }
}

//! What `docs/conformance.md` claims: every row is there, and every test it names would run.

mod inputs;
mod table;
mod tests_of_the_tree;

pub(super) use inputs::untrue_inputs;
pub(super) use table::untrue_rows;
pub(super) use tests_of_the_tree::tests_of;

/// A test function, or a scenario that test binaries make tests of.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Test {
    /// Its crate, modules and name, as far as its file tells them: `["rpc", "tests", "parcel", "append", "name"]`.
    path: Vec<String>,
    ignored: bool,
}

impl Test {
    /// Whether `a::b::name` means this one.
    fn is_called(&self, name: &str) -> bool {
        let wanted: Vec<_> = name.split("::").collect();
        self.path.len() >= wanted.len()
            && self.path[self.path.len() - wanted.len()..]
                .iter()
                .eq(wanted)
    }
}

//! The softbus command.
fn main() {}

//! One module for each target of `discovery`.

pub mod announcement;

use super::input::Input;

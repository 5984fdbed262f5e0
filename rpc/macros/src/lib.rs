//! #[remote_interface]

//! Programs to learn the soft-bus from

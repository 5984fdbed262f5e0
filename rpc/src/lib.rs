//! How a call on a remote object of the soft-bus works

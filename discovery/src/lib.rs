//! Which devices of the soft-bus are near: mDNS, static peers, one merged view

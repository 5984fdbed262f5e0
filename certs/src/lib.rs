//! Who a device of the soft-bus is: identity, trust, TLS

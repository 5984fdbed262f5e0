//! A soft-bus: devices near each other call each other's services as if they were local objects

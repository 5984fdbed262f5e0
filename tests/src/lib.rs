//! Many nodes at once: scenarios on loopback and in network namespaces

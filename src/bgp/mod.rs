//! BGP (RFC 4271, 4760 and others): one PDU to routes and attributes.

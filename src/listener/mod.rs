//! TCP: accept, limits, one task per router.

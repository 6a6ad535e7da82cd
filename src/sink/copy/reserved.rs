//! Large buffers that are no part of the allocator's heap.

/// Address space of a large buffer, in bytes. glibc never takes an allocation of more than 32 MiB from its
/// heaps (DEFAULT_MMAP_THRESHOLD_MAX): smaller ones fill the heap of each thread, once one of them was freed.
const RESERVED_BYTES: usize = 33 << 20;

/// A vector that becomes large. Address space is reserved for it before its first element: it grows in place,
/// only the pages that are written use memory, and these are returned to the system with the vector.
pub(crate) trait Reserved {
    /// Reserves address space, if the vector has none.
    fn reserved(&mut self) -> &mut Self;
}

impl<T> Reserved for Vec<T> {
    fn reserved(&mut self) -> &mut Self {
        if self.capacity() == 0 {
            // If the system refuses (overcommit is disabled), the vector grows as any other.
            self.try_reserve_exact(RESERVED_BYTES / size_of::<T>().max(1)).unwrap_or_default();
        }
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_large_vector_grows_in_place() {
        let mut bytes: Vec<u8> = Vec::new();
        bytes.reserved().push(1);
        let start = bytes.as_ptr();
        bytes.reserved().extend(std::iter::repeat_n(2, 32 << 20));
        assert_eq!(bytes.as_ptr(), start);
        // Beyond the reserved space it grows as any other.
        bytes.reserved().extend(std::iter::repeat_n(3, 2 << 20));
        assert_eq!((bytes.len(), bytes.last()), ((34 << 20) + 1, Some(&3)));
    }
}

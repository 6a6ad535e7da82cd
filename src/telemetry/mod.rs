//! Log lines, counters, Sentry, the status socket.

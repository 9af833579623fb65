//! Who may speak on one component of a leg.

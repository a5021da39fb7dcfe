//! The cluster image and its planner: members, topics, partitions, reassignment.

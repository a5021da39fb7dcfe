//! The quorum leader ends containers and TTL nodes whose time has come (ContainerManager).

use std::time::Duration;

use super::Coordination;

impl Coordination {
    pub(super) fn expire_nodes(&mut self) {
        let (now, wall) = (self.clocks.now, self.clocks.wall);
        let settings = &self.config.zookeeper;
        let Some(leading) = self.leading.as_mut().filter(|leading| now >= leading.expire_nodes_at) else {
            return;
        };
        leading.expire_nodes_at = now + settings.container_check;
        let minutes = settings.container_check.as_secs_f64() / Duration::from_secs(60).as_secs_f64();
        let share = (settings.containers_per_minute_max as f64 * minutes).ceil() as usize;
        let over: Vec<String> = self.tree.over(wall).take(share.max(1)).map(str::to_owned).collect();
        for path in over {
            // What is on its way is seen here: each is judged again against the outstanding changes.
            let decided = self.leading.as_ref().and_then(|l| l.prep.expire(&self.tree, &path, wall));
            if let Some(prepared) = decided {
                self.order(self.config.member, 0, prepared);
            }
        }
    }
}

"""The main job: the hedge that 2008 broke, played day by day through a real cluster, and its report."""

"""Who gets the alerts: real servers on loopback, that can be slow, cross, wrong or gone."""

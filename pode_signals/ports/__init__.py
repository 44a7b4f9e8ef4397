"""What a service listens with: sites, channels, certificates. It knows no signals."""

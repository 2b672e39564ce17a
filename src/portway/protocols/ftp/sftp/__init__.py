"""SFTP servers behind the FTP door: they look like FTP servers from inside."""

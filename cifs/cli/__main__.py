from cifs.cli import app

app()

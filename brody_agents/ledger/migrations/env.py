"""Run the migrations on the connection that ``migrate`` was given."""

from alembic import context

from brody_agents.ledger.tables import Row

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=Row.metadata,
    transactional_ddl=False,  # the caller's transaction holds it all
    render_as_batch=True,
)
context.run_migrations()

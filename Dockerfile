# syntax=docker/dockerfile:1
# Two images: `workbench`, for every process of ours, and `airflow`, which is the same with Airflow's own environment beside
# it. Whatever is installed is in a lock file, with its hashes, and comes as a wheel: there is no compiler here.
FROM python:3.11.15-slim-trixie AS python

FROM python AS tools
WORKDIR /build
COPY requirements.lock ./
RUN --mount=type=cache,target=/root/.cache/pip \
    sed -n '/^uv==/,/^ *# via/p' requirements.lock > uv.lock \
    && python -m pip install --disable-pip-version-check --root-user-action ignore --require-hashes --requirement uv.lock
ENV UV_COMPILE_BYTECODE=1 UV_LINK_MODE=copy UV_PYTHON_DOWNLOADS=never

FROM tools AS workbench-environment
WORKDIR /app
COPY pyproject.toml requirements.lock ./
# What pyproject.toml asks for at run time, at the versions and hashes of the lock: the lock alone has developers' tools, too.
RUN --mount=type=cache,target=/root/.cache/uv \
    python -m venv --without-pip .venv \
    && uv pip install --python .venv --no-build --require-hashes --constraints requirements.lock --requirements pyproject.toml \
    && find .venv -type d -name tests -regex '.*/site-packages/\(numpy\|pandas\|pyarrow\|scipy\)/.*' -prune -exec rm -r {} +
COPY LICENSE README.md ./
COPY api api
COPY checks checks
COPY dbt dbt
COPY docker docker
COPY pipeline pipeline
COPY workbench workbench
# In place: the models in dbt/ belong beside the code.
RUN --mount=type=cache,target=/root/.cache/uv \
    uv pip install --python .venv --no-deps --require-build-hashes --build-constraints requirements.lock --editable . \
    && .venv/bin/python -m compileall -q api checks pipeline workbench

FROM tools AS airflow-environment
WORKDIR /opt/airflow
COPY airflow/requirements.lock ./
RUN --mount=type=cache,target=/root/.cache/uv \
    python -m venv --without-pip .venv \
    && uv pip sync --python .venv --no-build --require-hashes requirements.lock

FROM python AS workbench
RUN useradd --uid 10001 --user-group --home-dir /var/lib/workbench --create-home --shell /usr/sbin/nologin workbench
COPY --from=workbench-environment /app /app
ENV PATH=/app/.venv/bin:$PATH PYTHONUNBUFFERED=1 WORKBENCH_HOME=/var/lib/workbench
USER 10001:10001
WORKDIR /var/lib/workbench
ENTRYPOINT ["workbench"]
CMD ["--help"]

FROM workbench AS airflow
USER 0
COPY --from=airflow-environment /opt/airflow /opt/airflow
RUN install --directory --owner 10001 --group 10001 /var/log/airflow
ENV PATH=/opt/airflow/.venv/bin:$PATH
USER 10001:10001
ENTRYPOINT []
CMD ["airflow", "version"]

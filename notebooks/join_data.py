# Databricks notebook source
# MAGIC %md
# MAGIC # Join the sources of one country
# MAGIC
# MAGIC Reads every CSV file under `input_path`. Each holds one source of electricity in the layout
# MAGIC `Entity,Code,Year,<Source> (% electricity)`. They are joined on `Year` and written to
# MAGIC `output_path` as a folder of CSV files: `Year` and one column for each source. A year that only
# MAGIC some sources have is kept, with empty shares for the others.
# MAGIC
# MAGIC | widget | meaning |
# MAGIC |---|---|
# MAGIC | `country` | the only `Entity` that the files may hold |
# MAGIC | `input_path` | URI of the folder to read (`s3://`, `abfss://`, `dbfs:/Volumes/`, `file:///`) |
# MAGIC | `output_path` | URI of the folder to write; what it held before is replaced |
# MAGIC
# MAGIC All reading and writing is done by Spark, with the DataFrame API alone, so the notebook runs on
# MAGIC job clusters, on serverless compute and on any other Spark Connect engine.

# COMMAND ----------

# DBTITLE 1,Imports
import json
from functools import reduce
from urllib.parse import unquote

from pyspark.sql import DataFrame
from pyspark.sql import functions as sf

# COMMAND ----------

# DBTITLE 1,Parameters
dbutils.widgets.text("country", "", "Country")
dbutils.widgets.text("input_path", "", "Folder to read")
dbutils.widgets.text("output_path", "", "Folder to write")

country = dbutils.widgets.get("country")
input_path = dbutils.widgets.get("input_path")
output_path = dbutils.widgets.get("output_path")

# COMMAND ----------

# DBTITLE 1,Which files are there?
# Spark lists the files, so this works for every storage that Spark reads. It answers with URIs, in
# which special characters are quoted, but reads paths, in which they are not.
listing = spark.read.option("pathGlobFilter", "*.csv").text(input_path)
files = sorted(unquote(uri) for uri in listing.inputFiles())
if not files:
    raise ValueError(f"There is no CSV file under {input_path!r}: check that the export has run.")

# COMMAND ----------

# DBTITLE 1,Read and check each source
KEY_COLUMNS = ["Entity", "Code", "Year"]


def read_source(file: str) -> tuple[str, DataFrame]:
    """Return the name of a file's value column, and its rows as `Year` and `Share`."""
    # Each file has a header of its own, so each is read alone: in one read, Spark would take the
    # header of one file for all of them.
    table = spark.read.csv(file, header=True, escape='"')
    if len(table.columns) != 4 or table.columns[:3] != KEY_COLUMNS:
        raise ValueError(
            f"{file} has the columns {table.columns}: expected {KEY_COLUMNS} and one source."
        )
    source = table.columns[3]
    table = table.toDF(*KEY_COLUMNS, "Share").select(
        "Entity",
        sf.col("Year").cast("int").alias("Year"),
        sf.col("Share").cast("double").alias("Share"),
    )
    found = table.agg(
        sf.count("*").alias("rows"),
        sf.count_distinct("Year").alias("years"),
        sf.count_if(~sf.col("Entity").eqNullSafe(country)).alias("foreign"),
    ).first()
    if found["foreign"]:
        raise ValueError(f"{file} has {found['foreign']} rows of another entity than {country!r}.")
    if found["years"] != found["rows"]:
        raise ValueError(
            f"{file} has {found['rows']} rows for {found['years']} years: expected one row a year."
        )
    return source, table.select("Year", "Share")


tables = [read_source(file) for file in files]
sources = [source for source, _ in tables]
if len({source.lower() for source in sources}) < len(sources):
    raise ValueError(f"Two files under {input_path!r} hold the same source: {sources}.")

# COMMAND ----------

# DBTITLE 1,Join on the year
joined = reduce(
    lambda left, right: left.join(right, on="Year", how="full_outer"),
    [table for _, table in tables],
).toDF("Year", *sources)

summary = joined.agg(
    sf.count("*").alias("rows"), sf.min("Year").alias("first"), sf.max("Year").alias("last")
).first()
if not summary["rows"]:
    raise ValueError(f"The files under {input_path!r} have no rows for {country!r}.")
display(joined.orderBy("Year"))

# COMMAND ----------

# DBTITLE 1,Write
joined.coalesce(1).write.csv(output_path, header=True, escape='"', mode="overwrite")
dbutils.notebook.exit(
    json.dumps({"rows": summary["rows"], "years": [summary["first"], summary["last"]]})
)

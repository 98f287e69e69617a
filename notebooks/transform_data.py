# Databricks notebook source
# MAGIC %md
# MAGIC # Add up the shares of one country
# MAGIC
# MAGIC Reads what `join_data` wrote, adds the column `SHW%` (solar, hydro and wind, or whatever sources
# MAGIC there are, together) and writes the rows, sorted by year. A year in which any share is missing
# MAGIC has no sum: a sum of what happens to be known would look like a fall.
# MAGIC
# MAGIC | widget | meaning |
# MAGIC |---|---|
# MAGIC | `country` | whose shares these are; named in error messages |
# MAGIC | `input_path` | URI of the folder to read (`s3://`, `abfss://`, `dbfs:/Volumes/`, `file:///`) |
# MAGIC | `output_path` | URI of the folder to write; what it held before is replaced |

# COMMAND ----------

# DBTITLE 1,Imports
import json
from functools import reduce
from operator import add

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

# DBTITLE 1,Read
# Some engines read a missing folder as an empty table, others refuse to find columns in it: asking
# for the files first gives one clear answer.
listing = spark.read.option("pathGlobFilter", "*.csv").text(input_path)
if not listing.inputFiles():
    raise ValueError(f"There is no CSV file under {input_path!r}: check that join_data has run.")

table = spark.read.csv(input_path, header=True, escape='"', pathGlobFilter="*.csv")
if table.columns[0] != "Year" or len(table.columns) < 2:
    raise ValueError(
        f"{input_path!r} has the columns {table.columns}: expected Year and one column a source."
    )

# COMMAND ----------

# DBTITLE 1,Add up
sources = table.columns[1:]
# Names of sources hold spaces, brackets and dots; numbered columns spare the quoting of them.
numbered = [f"share_{position}" for position in range(len(sources))]
year, *parts = (sf.col(name) for name in ["Year", *numbered])
shares = [part.cast("double") for part in parts]
result = (
    table.toDF("Year", *numbered)
    # Rounding drops the noise of adding floats: 0.1 + 0.2 is 0.30000000000000004.
    .select(year.cast("int"), *shares, sf.round(reduce(add, shares), 6))
    .toDF("Year", *sources, "SHW%")
)

summary = result.agg(
    sf.count("*").alias("rows"),
    sf.count_distinct("Year").alias("years"),
    sf.min("Year").alias("first"),
    sf.max("Year").alias("last"),
).first()
if not summary["rows"]:
    raise ValueError(f"The files under {input_path!r} have no rows for {country!r}.")
if summary["years"] != summary["rows"]:
    raise ValueError(
        f"{input_path!r} has {summary['rows']} rows for {summary['years']} years of {country!r}: "
        "expected one row a year."
    )

# COMMAND ----------

# DBTITLE 1,Write
# The limit takes nothing away: it makes engines write one file, in order. Writers are free to split
# and reorder the rows of a sort alone.
ordered = result.orderBy("Year").limit(summary["rows"])
ordered.write.csv(output_path, header=True, escape='"', mode="overwrite")
display(ordered)
dbutils.notebook.exit(
    json.dumps({"rows": summary["rows"], "years": [summary["first"], summary["last"]]})
)
